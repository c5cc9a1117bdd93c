target_sources(test_net PRIVATE unit/crypto/test_certificates.cpp)
