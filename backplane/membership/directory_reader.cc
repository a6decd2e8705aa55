#include "backplane/membership/directory_reader.h"

#include <utility>

#include "backplane/domain/error.h"

namespace actioncluster {

DirectoryReader::DirectoryReader(MembershipSource& source, Directory& directory,
                                 absl::AnyInvocable<void(const std::vector<NodeEvent>& events)> on_read)
    : source_(source), directory_(directory), on_read_(std::move(on_read)) {}

DirectoryReader::~DirectoryReader() {
  const absl::Status stopping = BackplaneUnavailable("this node is stopping");
  for (Done& done : current_.waiting) std::move(done)(stopping);
  for (Done& done : next_.waiting) std::move(done)(stopping);
}

void DirectoryReader::Check(Done done) { Add(false, std::move(done)); }

void DirectoryReader::Read(Done done) { Add(true, std::move(done)); }

void DirectoryReader::Add(bool read, Done done) {
  next_.read |= read;
  next_.waiting.push_back(std::move(done));
  if (!busy_) Start();
}

void DirectoryReader::Start() {
  busy_ = true;
  current_ = std::exchange(next_, Batch());
  if (current_.read) return SendRead();
  asked_at_ = directory_.generation();
  source_.ReadState([weak = weak_from_this()](const absl::StatusOr<MembershipSource::State>& state) {
    if (const auto self = weak.lock()) self->OnState(state);
  });
}

void DirectoryReader::OnState(const absl::StatusOr<MembershipSource::State>& state) {
  if (!state.ok()) return Finish(state.status());
  grace_until_ = state->grace_until;
  if (state->generation == directory_.generation() || Overtaken(state->generation)) return Finish(absl::OkStatus());
  SendRead();
}

void DirectoryReader::SendRead() {
  asked_at_ = directory_.generation();
  source_.Read([weak = weak_from_this()](absl::StatusOr<MembershipSource::Contents> contents) {
    if (const auto self = weak.lock()) self->OnContents(std::move(contents));
  });
}

void DirectoryReader::OnContents(absl::StatusOr<MembershipSource::Contents> contents) {
  if (!contents.ok()) return Finish(contents.status());
  grace_until_ = contents->state.grace_until;
  if (!Overtaken(contents->state.generation)) {
    std::vector<internal::v1::NodeRecord> records;
    for (MembershipSource::Node& node : contents->nodes) records.push_back(std::move(node.record));
    on_read_(directory_.Replace(contents->state.generation, std::move(records)));
  }
  Finish(absl::OkStatus());
}

bool DirectoryReader::Overtaken(int64_t generation) const {
  return asked_at_ <= generation && generation < directory_.generation();
}

void DirectoryReader::Finish(const absl::Status& status) {
  Batch finished = std::exchange(current_, Batch());
  busy_ = false;
  // Before the callbacks: what they ask for comes after this, and shares a question of its own.
  if (!next_.waiting.empty()) Start();
  for (Done& done : finished.waiting) std::move(done)(status);
}

}  // namespace actioncluster
