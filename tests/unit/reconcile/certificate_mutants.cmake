# The certificate planner's walk and courses once more over planted mistakes
# (operator/reconcile/certificate_mutants.h).
# They say nothing about memory or races: not under the sanitizers, which they outlast.
if(HOLDFAST_SANITIZE)
  return()
endif()
file(GLOB certificate_sources CONFIGURE_DEPENDS
  ${CMAKE_SOURCE_DIR}/operator/reconcile/certificate*.cpp
  unit/reconcile/certificates_*walk.cpp unit/reconcile/certificates_stories.cpp
  unit/reconcile/certificate_mutants/*.cpp)
add_executable(test_certificate_mutants ${certificate_sources})
target_compile_options(test_certificate_mutants PRIVATE ${HOLDFAST_WARNINGS})
target_compile_definitions(test_certificate_mutants PRIVATE HOLDFAST_MUTANTS)
target_link_libraries(test_certificate_mutants PRIVATE holdfast_base holdfast_api GTest::gtest_main)
add_test(NAME unit_certificate_mutants COMMAND test_certificate_mutants)
set_tests_properties(unit_certificate_mutants PROPERTIES TIMEOUT 300)
