#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace holdfast::crypto {

/// Frees what OpenSSL's function of that name frees.
template <auto kFree>
struct OpensslFree {
  template <class T>
  void operator()(T* what) const {
    kFree(what);
  }
};

using BioPtr = std::unique_ptr<BIO, OpensslFree<&BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpensslFree<&EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, OpensslFree<&X509_free>>;
using CrlPtr = std::unique_ptr<X509_CRL, OpensslFree<&X509_CRL_free>>;
using StorePtr = std::unique_ptr<X509_STORE, OpensslFree<&X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, OpensslFree<&X509_STORE_CTX_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, OpensslFree<&SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, OpensslFree<&SSL_free>>;

/// Empties this thread's error queue and says what the first of it was; "unknown error" if nothing.
std::string take_openssl_error();

}  // namespace holdfast::crypto
