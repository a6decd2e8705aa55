#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_REPLY_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_REPLY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct redisReply;

namespace actioncluster::redis {

// A look at a reply of Redis's, or at an element of one. Valid as long as the Reply that owns it. Reading the wrong
// type is no crash: it gives an INTERNAL status that says what came instead, as a Redis that is not what it seems is
// ordinary input.
class ReplyView {
 public:
  explicit ReplyView(const redisReply* reply) : reply_(reply) {}

  bool is_nil() const;
  bool is_array() const;
  bool is_error() const;

  // A bulk or simple string.
  absl::StatusOr<absl::string_view> String() const;
  // A number, or a string that is one (scripts return 64-bit integers as strings).
  absl::StatusOr<int64_t> Integer() const;
  // The number of elements; 0 unless it is an array.
  size_t size() const;
  // An element; a nil view past the end.
  ReplyView operator[](size_t index) const;
  // The text of an error reply, with its code in front: `NOSCRIPT No matching script`. Empty unless it is one.
  absl::string_view error() const;

 private:
  const redisReply* reply_;  // Null: nil.
};

// Owns a reply.
class Reply {
 public:
  Reply() = default;  // nil
  explicit Reply(redisReply* owned) : reply_(owned) {}

  ReplyView view() const { return ReplyView(reply_.get()); }

 private:
  struct Free {
    void operator()(redisReply* reply) const;
  };
  std::unique_ptr<redisReply, Free> reply_;
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_REPLY_H_
