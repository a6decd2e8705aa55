#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_TLS_STREAM_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_TLS_STREAM_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "backplane/redis/link_core.h"
#include "backplane/redis/tls_context.h"

struct bio_st;
struct ssl_st;

namespace actioncluster::redis {

// TLS around a core: it is fed and gives what the network sees, and the core inside what that means. The core is opened
// only when the handshake is done and the peer's certificate was found good and made out to the host that was asked
// for: until then nothing of it is taken, so nothing of it can leave, and nothing unencrypted ever does.
//
// One for each connection. Does no I/O; confined to the I/O thread.
class TlsStream final : public LinkCore {
 public:
  // `host` is the name or address that was connected to. The core outlives this, the context need not.
  TlsStream(const TlsContext& context, const std::string& host, LinkCore& core);

  void Opened(absl::Time now) override;
  // Says what is wrong with the peer's certificate, or what the peer does not like, as it says itself.
  absl::Status Feed(absl::string_view bytes, absl::Time now) override;
  void TakeOutput(std::string* out) override;
  absl::Status Tick(absl::Time now, absl::Time* next) override;
  void Closed(const absl::Status& why) override;
  bool ready() const override { return established_ && core_.ready(); }

  // The handshake of TLS is done.
  bool established() const { return established_; }

 private:
  struct Free {
    void operator()(ssl_st* session) const;
  };

  absl::Status ShakeHands(absl::Time now);
  absl::Status Decrypt(absl::Time now);
  // Why the last step of OpenSSL failed.
  absl::Status Failure(int result);

  std::unique_ptr<ssl_st, Free> session_;
  bio_st* received_;  // The session's.
  bio_st* to_send_;   // The session's.
  LinkCore& core_;
  bool established_ = false;
  absl::Status broken_;  // Why nothing can be encrypted any more.
  std::string plain_;
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_TLS_STREAM_H_
