# The walks once more over planners with planted mistakes (operator/reconcile/mutants.h,
# encryption_mutants.h).
# They say nothing about memory or races: not under the sanitizers, which they outlast.
if(HOLDFAST_SANITIZE)
  return()
endif()
file(GLOB planner_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/operator/reconcile/*.cpp)
list(FILTER planner_sources EXCLUDE REGEX "/certificate[a-z_]*\\.cpp$")
list(APPEND planner_sources ${CMAKE_SOURCE_DIR}/operator/api/quantity.cpp ${CMAKE_SOURCE_DIR}/operator/api/releases.cpp)
file(GLOB world_sources CONFIGURE_DEPENDS unit/reconcile/world*.cpp)
add_executable(test_planner_mutants unit/reconcile/mutants/mutants_test.cpp unit/reconcile/walk.cpp
  unit/reconcile/mutants/encryption_mutants_test.cpp unit/reconcile/encryption_walk.cpp
  ${world_sources} ${planner_sources})
target_compile_options(test_planner_mutants PRIVATE ${HOLDFAST_WARNINGS})
target_compile_definitions(test_planner_mutants PRIVATE HOLDFAST_MUTANTS)
target_link_libraries(test_planner_mutants PRIVATE holdfast_base absl::strings GTest::gtest_main)
add_test(NAME unit_planner_mutants COMMAND test_planner_mutants)
set_tests_properties(unit_planner_mutants PROPERTIES TIMEOUT 300)
