target_sources(test_peer PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/unit/net/test_client.cpp)
target_link_libraries(test_peer PRIVATE holdfast_platform)
