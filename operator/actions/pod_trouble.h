#pragma once

#include <string>

#include "operator/kube/json.h"

namespace holdfast::actions {

/// Why a Pod does not run, in words for the user: that no node takes it, that its image cannot be
/// pulled, that its process ends again and again. Empty: nothing that the Pod would tell. The same
/// trouble reads the same each time, although the kubelet's own reasons alternate: a status that
/// carries it is not written anew with every attempt.
std::string trouble_of(const kube::Json& pod);

}  // namespace holdfast::actions
