#pragma once

#include <string_view>

namespace holdfast::web {

/// One file of assets/, as it was when this program was built (embed.cmake).
struct Asset {
  std::string_view path;  ///< "/app.js"; the page itself is "/"
  const char* content_type;
  std::string_view content;
};

extern const Asset kPage;
extern const Asset kStyle;
extern const Asset kScript;
extern const Asset kIcon;

}  // namespace holdfast::web
