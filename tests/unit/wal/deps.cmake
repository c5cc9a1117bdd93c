# posix_test runs the log on real files.
target_link_libraries(test_wal PRIVATE holdfast_platform)
