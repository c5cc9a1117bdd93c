#pragma once

#include <cstddef>
#include <string>

namespace holdfast::reconcile {

struct EncryptionWalk {
  std::size_t worlds = 0;
  /// The first broken rule and the way to it; empty: none.
  std::string violation;
};

/// Walks every order of the operator's passes (dying after any write, told by some members' pages
/// and not by others'), of what two members do (look at their file, stop, start), of a restore that
/// puts data aside, and of what the user does: change keys and change them back, write what is no
/// key, turn it off, lose either Secret or both. Two rules hold throughout: while the members'
/// Secret stands it has the key of every volume, and no key is generated once a volume is sealed.
/// From each world, once the user puts back a copy of what is lost, all members come to use the
/// wanted key.
EncryptionWalk walk_encryption();

}  // namespace holdfast::reconcile
