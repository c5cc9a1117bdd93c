target_sources(test_cli PRIVATE unit/crypto/test_certificates.cpp)
