target_include_directories(test_rpc PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/unit/rpc)
target_sources(test_rpc PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/unit/net/test_client.cpp)
target_include_directories(test_rpc PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/unit/net)
target_link_libraries(test_rpc PRIVATE holdfast_platform)
