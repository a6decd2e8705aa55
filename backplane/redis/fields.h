#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_FIELDS_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_FIELDS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "backplane/redis/reply.h"

namespace actioncluster::redis {

// Reads the elements of an array that a script gave, one after the other. What is not as it should be is noted, and gives a default from then on: look at `status` at
// the end, which is INTERNAL then. The reply outlives it. One thread.
class Fields {
 public:
  explicit Fields(ReplyView array);

  bool done() const { return next_ >= array_.size() || !status_.ok(); }
  std::string Text();
  int64_t Number();
  int Int() { return static_cast<int>(Number()); }
  double Real();
  // Nothing where the text is empty.
  std::optional<absl::Time> Moment();
  // 0 where the text is empty.
  absl::Duration Micros();
  ReplyView Element() { return array_[next_++]; }
  Fields Array() { return Fields(Element()); }
  // Notes what is wrong with a part, or with what was made of one.
  void Note(const absl::Status& status);
  const absl::Status& status() const { return status_; }

 private:
  const ReplyView array_;
  size_t next_ = 0;
  absl::Status status_;
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_FIELDS_H_
