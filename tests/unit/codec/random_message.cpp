#include "random_message.h"

namespace holdfast::codec {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

}  // namespace

std::string RandomMessage::bytes() {
  std::string out(below(20), '\0');
  for (char& c : out) c = static_cast<char>(below(128));
  return out;
}

void RandomMessage::fill(Message* message, int depth) {
  const auto* descriptor = message->GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    if (prng_.chance(1, 3)) continue;
    if (!field->is_repeated()) {
      set(message, field, depth);
      continue;
    }
    for (std::uint64_t n = below(4); n > 0; --n) add(message, field, depth);
  }
}

void RandomMessage::set(Message* message, const FieldDescriptor* field, int depth) {
  const Reflection* reflection = message->GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection->SetInt64(message, field, static_cast<std::int64_t>(number()));
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection->SetUInt64(message, field, number());
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection->SetUInt32(message, field, static_cast<std::uint32_t>(number()));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection->SetBool(message, field, below(2) == 1);
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection->SetString(message, field, bytes());
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto* known = field->enum_type();
      // proto2 keeps unknown numbers aside, where an accessor does not see them.
      const bool open = field->file()->syntax() == google::protobuf::FileDescriptor::SYNTAX_PROTO3;
      const int index = static_cast<int>(below(static_cast<std::uint64_t>(known->value_count())));
      const int value = open && prng_.chance(1, 8) ? 77 : known->value(index)->number();
      return reflection->SetEnumValue(message, field, value);
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (depth > 0) fill(reflection->MutableMessage(message, field), depth - 1);
      return;
    default:
      return;
  }
}

void RandomMessage::add(Message* message, const FieldDescriptor* field, int depth) {
  const Reflection* reflection = message->GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection->AddUInt64(message, field, number());
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection->AddString(message, field, bytes());
    case FieldDescriptor::CPPTYPE_ENUM:
      return reflection->AddEnumValue(message, field, static_cast<int>(below(2)));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (depth > 0) fill(reflection->AddMessage(message, field), depth - 1);
      return;
    default:
      return;
  }
}

}  // namespace holdfast::codec
