#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_TLS_CONTEXT_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_TLS_CONTEXT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

struct ssl_ctx_st;

namespace actioncluster::redis {

// Files in PEM that a connection by TLS needs.
struct TlsFiles {
  std::string ca_file;    // Whose certificates are believed; empty: the system's.
  std::string cert_file;  // Our own certificate, with its chain; empty: none.
  std::string key_file;   // Its private key, without a passphrase; set if, and only if, cert_file is.
};

// What connections by TLS share: whom to believe, and who we are. TLS 1.2 or newer, and no renegotiation. Confined to
// one thread.
class TlsContext {
 public:
  // Reads the files. INVALID_ARGUMENT, in a message that names the file: it cannot be read, holds no certificate or
  // key, the key is not the certificate's, or others may read it.
  static absl::StatusOr<TlsContext> Load(const TlsFiles& files);

  // Takes ownership of one that is made otherwise, as tests do without files.
  explicit TlsContext(ssl_ctx_st* owned) : context_(owned) {}

  ssl_ctx_st* get() const { return context_.get(); }

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };
  std::unique_ptr<ssl_ctx_st, Free> context_;
};

// The first of OpenSSL's complaints on this thread, which are forgotten; "unknown" if there is none.
std::string TakeTlsComplaint();

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_TLS_CONTEXT_H_
