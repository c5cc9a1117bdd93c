#pragma once

#include <string>
#include <vector>

#include "datastore/node/bootstrap.h"

namespace holdfast::cli {

/// `a=http://1:2380,a=http://2:2380,b=…`: members by name, each with all its peer URLs.
std::vector<node::InitialMember> parse_initial_cluster(const std::string& text);

}  // namespace holdfast::cli
