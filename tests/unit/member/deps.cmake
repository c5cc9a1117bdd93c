# Members under test are real: the build's own holdfast, unless HOLDFAST_BIN names another.
target_sources(test_member PRIVATE unit/crypto/test_certificates.cpp)
target_link_libraries(test_member PRIVATE holdfast_crypto)
target_compile_definitions(test_member PRIVATE HOLDFAST_BUILT="$<TARGET_FILE:holdfast>")
add_dependencies(test_member holdfast)
