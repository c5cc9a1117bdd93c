#include "datastore/crypto/tls_failure.h"

#include <openssl/x509_vfy.h>

#include <array>
#include <ctime>

#include "absl/strings/str_cat.h"

namespace holdfast::crypto {
namespace {

TlsReason reason_of(int error) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return TlsReason::kExpired;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return TlsReason::kNotYetValid;
    case X509_V_ERR_INVALID_PURPOSE:
      return TlsReason::kWrongUsage;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return TlsReason::kMismatched;
    case X509_V_ERR_CERT_REVOKED:
      return TlsReason::kRevoked;
    case X509_V_ERR_APPLICATION_VERIFICATION:
      return TlsReason::kNotAllowed;
    default:
      return TlsReason::kUntrusted;
  }
}

std::string usages(const CertificateInfo& certificate) {
  if (certificate.for_clients) return "clients only";
  if (certificate.for_servers) return "servers only";
  return "neither servers nor clients";
}

std::string names(const CertificateInfo& certificate) {
  std::string all;
  for (const auto* list : {&certificate.dns_names, &certificate.ip_addresses}) {
    for (const std::string& name : *list) absl::StrAppend(&all, all.empty() ? "" : ", ", name);
  }
  return all.empty() ? "nobody" : all;
}

}  // namespace

std::string_view tls_reason_name(TlsReason reason) {
  constexpr std::array<std::string_view, kTlsReasons> kNames = {
      "expired",     "not_yet_valid", "wrong_usage",     "mismatched", "untrusted", "revoked",
      "not_allowed", "missing",       "refused_by_peer", "timed_out",  "closed",    "protocol"};
  return kNames[static_cast<std::size_t>(reason)];
}

std::string time_text(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[sizeof "2026-01-02T03:04:05Z  "] = {};
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

TlsFailure verification_failure(int error, X509* certificate) {
  TlsFailure failure;
  failure.reason = reason_of(error);
  if (certificate == nullptr) {
    failure.text = X509_verify_cert_error_string(error);
    return failure;
  }
  failure.certificate = describe(certificate);
  failure.has_certificate = true;
  const CertificateInfo& info = failure.certificate;
  const std::string subject = absl::StrCat("the certificate \"", info.subject, "\" ");
  switch (failure.reason) {
    case TlsReason::kExpired:
      failure.text = absl::StrCat(subject, "expired at ", time_text(info.not_after));
      break;
    case TlsReason::kNotYetValid:
      failure.text = absl::StrCat(subject, "is not valid before ", time_text(info.not_before));
      break;
    case TlsReason::kWrongUsage:
      failure.text = absl::StrCat(subject, "is for ", usages(info), " by its key usages");
      break;
    case TlsReason::kMismatched:
      failure.text = absl::StrCat(subject, "names ", names(info), ", not whom it is shown for");
      break;
    case TlsReason::kRevoked:
      failure.text = absl::StrCat(subject, "with the serial ", info.serial, " is revoked");
      break;
    case TlsReason::kNotAllowed:
      failure.text = absl::StrCat("client certificate authentication failed: ", subject, "names ",
                                  names(info), ", none of those that may connect");
      break;
    default:
      failure.text =
          absl::StrCat(subject, "is not trusted: ", X509_verify_cert_error_string(error));
  }
  return failure;
}

}  // namespace holdfast::crypto
