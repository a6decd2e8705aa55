#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_REPLY_READER_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_REPLY_READER_H_

#include <cstddef>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "backplane/redis/reply.h"

struct redisReader;

namespace actioncluster::redis {

// Cuts the bytes of a connection into replies. Bytes may be split anywhere. One reader for one connection; confined to
// one thread.
class ReplyReader {
 public:
  ReplyReader();

  // Takes bytes in. Before the next bytes, Next must have said that there is no further reply.
  void Feed(absl::string_view bytes);

  // The next whole reply; none: more bytes are needed. INTERNAL: this is not Redis's protocol, or beyond what Redis
  // ever sends; so from then on.
  absl::StatusOr<std::optional<Reply>> Next();

 private:
  struct Free {
    void operator()(redisReader* reader) const;
  };
  std::unique_ptr<redisReader, Free> reader_;
  absl::string_view unread_;
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_REPLY_READER_H_
