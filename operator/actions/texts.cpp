#include "operator/actions/texts.h"

#include <cctype>

namespace holdfast::actions {

std::string with_member_names(std::string_view text, std::string_view cluster) {
  constexpr std::string_view kMember = "member ";
  std::string out;
  while (!text.empty()) {
    const std::size_t at = text.find(kMember);
    const std::size_t digit = at == std::string_view::npos ? at : at + kMember.size();
    const bool numbered =
        digit < text.size() && std::isdigit(static_cast<unsigned char>(text[digit])) != 0;
    if (at == std::string_view::npos) break;
    out.append(text.substr(0, at));
    if (numbered) {
      out.append(cluster).append("-");
    } else {
      out.append(kMember);
    }
    text.remove_prefix(digit);
  }
  return out.append(text);
}

}  // namespace holdfast::actions
