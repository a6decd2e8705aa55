#ifndef ACTIONCLUSTER_BACKPLANE_BUS_SEALER_H_
#define ACTIONCLUSTER_BACKPLANE_BUS_SEALER_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "actioncluster/internal/v1/envelope.pb.h"

namespace actioncluster {

// Why an envelope was dropped. Each is counted; none is ever executed.
enum class Rejection {
  kGarbled,   // Not an envelope: too short or too long, or its signed content does not parse.
  kForeign,   // Another version, or sealed with another token or for another namespace.
  kForged,    // The MAC does not fit: changed, moved to another channel, or made up.
  kReplayed,  // This or a later one of the same boot came on this channel already.
  kStale,     // Sent before this node subscribed to the channel, or too long ago.
  kAhead,     // Stamped with a time that has not come.
};
inline constexpr int kRejections = 6;

// The largest sealed envelope: twice what a caller's content may be. Longer ones are not even hashed.
inline constexpr size_t kMaxSealedBytes = 8 << 20;

absl::string_view RejectionName(Rejection rejection);  // `garbled`

// Seals envelopes with a key that is derived from the server token, and opens those of peers that have the same token. The token itself
// never leaves the process.
//
// A sealed envelope is: version (1 byte), key id (4), HMAC-SHA256 (32), serialized Envelope. The MAC covers version, key id, namespace,
// channel and content, each with its length, so none can be exchanged for another. Nothing is parsed before the MAC is found right, in constant time.
//
// Not thread-safe (the MAC context is reused): confined to the I/O thread.
class Sealer {
 public:
  // The token: at least 16 bytes, else INVALID_ARGUMENT.
  static absl::StatusOr<Sealer> Create(absl::string_view server_token, absl::string_view cluster_namespace);
  Sealer(Sealer&&) noexcept;
  Sealer& operator=(Sealer&&) noexcept;
  ~Sealer();

  // The strings in `envelope` must be UTF-8: others cannot be parsed by those who open it.
  std::string Seal(absl::string_view channel, const internal::v1::Envelope& envelope) const;

  // Fills `envelope` and returns nothing; or says why it is to be dropped.
  std::optional<Rejection> Open(absl::string_view channel, absl::string_view sealed,
                                internal::v1::Envelope* envelope) const;

  // Tells keys apart and reveals nothing of them: 32 hexadecimal digits, equal for equal token and namespace.
  const std::string& fingerprint() const;

 private:
  struct Impl;
  explicit Sealer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_BUS_SEALER_H_
