#ifndef ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_DIRECTORY_READER_H_
#define ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_DIRECTORY_READER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "backplane/membership/directory.h"
#include "backplane/membership/membership_source.h"

namespace actioncluster {

// Makes the directory as true as Redis is: asks for the generation, and reads everything if it is another. One question
// is under way at a time; those that come meanwhile share the next, since an answer says nothing of what happened after
// it was asked for.
//
// Announced changes go on being applied while a question is under way, and may overtake its answer. An answer of a
// generation between the directory's when it was asked for and now is older than the directory, and is not used; one
// from before that means that Redis has lost something, and is.
//
// Confined to the I/O thread; callbacks run on it, never inside the calls. Owned by a shared_ptr, which answers from
// Redis do not prolong.
class DirectoryReader : public std::enable_shared_from_this<DirectoryReader> {
 public:
  using Done = absl::AnyInvocable<void(absl::Status) &&>;

  // `on_read` hears the events of each Replace, before those that asked for it. The references outlive this.
  DirectoryReader(MembershipSource& source, Directory& directory,
                  absl::AnyInvocable<void(const std::vector<NodeEvent>& events)> on_read);
  // Those that wait hear BACKPLANE_UNAVAILABLE.
  ~DirectoryReader();

  // Reads if the generation has changed.
  void Check(Done done);
  // Reads in any case: the same generation may mean something else when Redis was away and has lost its last changes.
  void Read(Done done);

  // When Redis's grace ends, by its clock, as of the last answer.
  absl::Time grace_until() const { return grace_until_; }

 private:
  struct Batch {
    bool read = false;
    std::vector<Done> waiting;
  };

  void Add(bool read, Done done);
  void Start();
  void SendRead();
  void OnState(const absl::StatusOr<MembershipSource::State>& state);
  void OnContents(absl::StatusOr<MembershipSource::Contents> contents);
  bool Overtaken(int64_t generation) const;
  void Finish(const absl::Status& status);

  MembershipSource& source_;
  Directory& directory_;
  absl::AnyInvocable<void(const std::vector<NodeEvent>& events)> on_read_;
  absl::Time grace_until_ = absl::InfinitePast();
  bool busy_ = false;
  int64_t asked_at_ = -1;  // The directory's generation when the question was sent.
  Batch current_;
  Batch next_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_DIRECTORY_READER_H_
