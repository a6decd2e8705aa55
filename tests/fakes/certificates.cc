#include "tests/fakes/certificates.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <functional>

#include "glog/logging.h"

namespace actioncluster::fakes {
namespace {

std::string ToPem(const std::function<int(BIO*)>& write) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), &BIO_free);
  CHECK_EQ(write(bio.get()), 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

std::string ToPem(X509* certificate) {
  return ToPem([certificate](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

void Extend(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  CHECK(extension != nullptr) << value;
  CHECK_EQ(X509_add_ext(certificate, extension, -1), 1);
  X509_EXTENSION_free(extension);
}

X509* NewCertificate(const char* name, EVP_PKEY* key, absl::Duration good_for) {
  X509* const certificate = X509_new();
  CHECK_EQ(X509_set_version(certificate, 2), 1);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -86400);
  X509_gmtime_adj(X509_getm_notAfter(certificate), static_cast<long>(absl::ToInt64Seconds(good_for)));
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  CHECK_EQ(X509_set_pubkey(certificate, key), 1);
  return certificate;
}

}  // namespace

void Authority::Free::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }
void Authority::Free::operator()(x509_st* certificate) const { X509_free(certificate); }

Authority::Authority()
    : key_(EVP_EC_gen("P-256")), certificate_(NewCertificate("authority", key_.get(), absl::Hours(1))) {
  X509_set_issuer_name(certificate_.get(), X509_get_subject_name(certificate_.get()));
  Extend(certificate_.get(), NID_basic_constraints, "critical,CA:TRUE");
  CHECK_GT(X509_sign(certificate_.get(), key_.get(), EVP_sha256()), 0);
}

Authority::~Authority() = default;

std::string Authority::certificate() const { return ToPem(certificate_.get()); }

Identity Authority::Issue(const std::string& names, absl::Duration good_for) const {
  const std::unique_ptr<EVP_PKEY, Free> key(EVP_EC_gen("P-256"));
  const std::unique_ptr<X509, Free> certificate(NewCertificate("issued", key.get(), good_for));
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate_.get()));
  Extend(certificate.get(), NID_subject_alt_name, names);
  CHECK_GT(X509_sign(certificate.get(), key_.get(), EVP_sha256()), 0);
  return {.certificate = ToPem(certificate.get()), .key = ToPem([&key](BIO* bio) {
                                                     return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr,
                                                                                     0, nullptr, nullptr);
                                                   })};
}

}  // namespace actioncluster::fakes
