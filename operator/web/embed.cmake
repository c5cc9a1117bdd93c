# cmake -DOUT=assets.cpp -DASSETS=folder -P embed.cmake: writes the folder's files as constants.
# Hexadecimal bytes rather than a string literal: those have a greatest length.
file(WRITE "${OUT}.new" "#include \"operator/web/assets.h\"\n\nnamespace holdfast::web {\n\nnamespace {\n")
function(embed constant file)
  file(READ "${ASSETS}/${file}" bytes HEX)
  string(LENGTH "${bytes}" digits)
  math(EXPR size "${digits} / 2")
  # Lines of a bounded length, joined by the compiler.
  set(lines "")
  set(line_digits 64)
  foreach(begin RANGE 0 ${digits} ${line_digits})
    string(SUBSTRING "${bytes}" ${begin} ${line_digits} line)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" line "${line}")
    string(APPEND lines "    \"${line}\"\n")
  endforeach()
  file(APPEND "${OUT}.new" "constexpr char ${constant}Bytes[] =\n${lines}    ;\nstatic_assert(sizeof(${constant}Bytes) == ${size} + 1);\n")
endfunction()
embed(kPage index.html)
embed(kStyle app.css)
embed(kScript app.js)
embed(kIcon icon.svg)
file(APPEND "${OUT}.new" "
}  // namespace

const Asset kPage{\"/\", \"text/html; charset=utf-8\", {kPageBytes, sizeof(kPageBytes) - 1}};
const Asset kStyle{\"/app.css\", \"text/css; charset=utf-8\", {kStyleBytes, sizeof(kStyleBytes) - 1}};
const Asset kScript{\"/app.js\", \"text/javascript; charset=utf-8\", {kScriptBytes, sizeof(kScriptBytes) - 1}};
const Asset kIcon{\"/icon.svg\", \"image/svg+xml\", {kIconBytes, sizeof(kIconBytes) - 1}};

}  // namespace holdfast::web
")
file(RENAME "${OUT}.new" "${OUT}")
