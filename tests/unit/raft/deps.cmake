# The safety test once more over a raft with planted mistakes (datastore/raft/mutants.h).
# They say nothing about memory or races: not under the sanitizers, which they outlast.
if(HOLDFAST_SANITIZE)
  return()
endif()
file(GLOB raft_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/datastore/raft/*.cpp)
add_executable(test_raft_mutants unit/raft/mutants/mutants_test.cpp unit/raft/safety.cpp
  unit/raft/test_member.cpp ${raft_sources})
target_compile_options(test_raft_mutants PRIVATE ${HOLDFAST_WARNINGS})
target_compile_definitions(test_raft_mutants PRIVATE HOLDFAST_MUTANTS)
target_link_libraries(test_raft_mutants PRIVATE holdfast_base GTest::gtest_main)
add_test(NAME unit_raft_mutants COMMAND test_raft_mutants)
set_tests_properties(unit_raft_mutants PROPERTIES TIMEOUT 300)
