#ifndef ACTIONCLUSTER_TESTS_FAKES_CERTIFICATES_H_
#define ACTIONCLUSTER_TESTS_FAKES_CERTIFICATES_H_

#include <memory>
#include <string>

#include "absl/time/time.h"

struct evp_pkey_st;
struct x509_st;

namespace actioncluster::fakes {

// A certificate and its private key, in PEM.
struct Identity {
  std::string certificate;
  std::string key;
};

// An authority that makes certificates, good for an hour unless said otherwise. One thread.
class Authority {
 public:
  Authority();
  ~Authority();

  // In PEM.
  std::string certificate() const;

  // `names` as OpenSSL writes them: `DNS:redis.test,IP:127.0.0.1`.
  Identity Issue(const std::string& names, absl::Duration good_for = absl::Hours(1)) const;

 private:
  struct Free {
    void operator()(evp_pkey_st* key) const;
    void operator()(x509_st* certificate) const;
  };
  std::unique_ptr<evp_pkey_st, Free> key_;
  std::unique_ptr<x509_st, Free> certificate_;
};

}  // namespace actioncluster::fakes

#endif  // ACTIONCLUSTER_TESTS_FAKES_CERTIFICATES_H_
