target_include_directories(test_codec PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/unit/codec)
