#include "server/services/task_proto.h"

#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "backplane/domain/error.h"
#include "server/grpc/content.h"

namespace actioncluster {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);
constexpr absl::Duration kYear = absl::Hours(366 * 24);  // Any calendar year is within it.
constexpr absl::Duration kMicrosecond = absl::Microseconds(1);
constexpr size_t kMaxKeyBytes = 256;
constexpr char kDefaultQueue[] = "default";

absl::Status Invalid(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(field, " ", what));
}

// A name that need not be given.
absl::Status ValidateKey(absl::string_view key, absl::string_view field) {
  if (key.size() <= kMaxKeyBytes) return absl::OkStatus();
  return Invalid(field, absl::StrCat("must have at most ", kMaxKeyBytes, " bytes"));
}

// Reads one message field by field; what is wrong first is what is told.
class TaskReader {
 public:
  TaskReader(const v1::EnqueueRequest& request, absl::string_view path) : request_(request), path_(path) {}

  absl::StatusOr<TaskOutcome::FollowUp> Read() {
    ReadNames();
    ReadInput();
    ReadStart();
    ReadRetry();
    ReadTimes();
    if (!status_.ok()) return status_;
    return TaskOutcome::FollowUp{.queue = std::move(queue_), .task = std::move(task_)};
  }

 private:
  void ReadNames() {
    Note(ValidateName(request_.name(), Path("name")));
    task_.name = request_.name();
    Take(QueueOrDefault(request_.queue(), Path("queue")), queue_);
    Note(ValidateKey(request_.unique_key(), Path("unique_key")));
    task_.unique_key = request_.unique_key();
    Note(ValidateKey(request_.id(), Path("id")));
    task_.chosen_id = !request_.id().empty();
    task_.id = task_.chosen_id ? request_.id() : NewTaskId();
    if (request_.has_priority() && request_.priority() > 9) Note(Invalid(Path("priority"), "must be 0 … 9"));
    if (request_.has_priority()) task_.priority = static_cast<int>(request_.priority());
  }

  void ReadInput() {
    if (request_.has_data()) {
      Take(AtMost(kMaxTaskContentBytes, {.kind = Content::Kind::kBytes, .body = request_.data()}, Path("data")),
           task_.input);
    }
    if (!request_.has_args()) return;
    Note(ValidateJson(request_.args(), Path("args")));
    Take(AtMost(kMaxTaskContentBytes, {.kind = Content::Kind::kJson, .body = request_.args().SerializeAsString()},
                Path("args")),
         task_.input);
  }

  void ReadStart() {
    if (request_.has_delay()) Read(request_.delay(), absl::ZeroDuration(), 10 * kYear, "delay", task_.delay);
    if (!request_.has_run_at()) return;
    const absl::StatusOr<absl::Time> run_at = TimeOf(request_.run_at(), Path("run_at"));
    Note(run_at.status());
    if (!run_at.ok()) return;
    // By this node's clock: so long a limit need not be exact.
    if (*run_at > absl::Now() + 10 * kYear) Note(Invalid(Path("run_at"), "must be at most 10 years from now"));
    if (*run_at > absl::UnixEpoch()) task_.run_at = *run_at;
  }

  void ReadRetry() {
    const v1::RetryPolicy& retry = request_.retry();
    if (retry.max_attempts() > 100) Note(Invalid(Path("retry.max_attempts"), "must be at most 100"));
    if (retry.max_attempts() > 0) task_.max_attempts = static_cast<int>(retry.max_attempts());
    if (retry.has_backoff()) Read(retry.backoff(), absl::ZeroDuration(), kDay, "retry.backoff", task_.backoff);
    if (retry.has_max_backoff()) {
      Read(retry.max_backoff(), absl::ZeroDuration(), 7 * kDay, "retry.max_backoff", task_.max_backoff);
    }
  }

  void ReadTimes() {
    if (request_.has_unique_for()) Read(request_.unique_for(), kMicrosecond, kYear, "unique_for", task_.unique_for);
    if (request_.has_timeout()) {
      Read(request_.timeout(), absl::Milliseconds(1), 7 * kDay, "timeout", task_.timeout);
    }
    if (request_.has_retain_result_for()) {
      Read(request_.retain_result_for(), absl::ZeroDuration(), 30 * kDay, "retain_result_for", task_.retain);
    }
  }

  std::string Path(absl::string_view name) const { return FieldPath(path_, name); }
  void Note(const absl::Status& status) { status_.Update(status); }
  template <class T>
  void Take(absl::StatusOr<T> value, T& to) {
    Note(value.status());
    if (value.ok()) to = *std::move(value);
  }
  void Read(const google::protobuf::Duration& duration, absl::Duration least, absl::Duration most,
            absl::string_view name, absl::Duration& to) {
    Take(DurationOf(duration, least, most, Path(name)), to);
  }

  const v1::EnqueueRequest& request_;
  const absl::string_view path_;
  absl::Status status_;
  std::string queue_;
  NewTask task_;
};

// A limit that is a whole number; 0 is as by default.
absl::Status ReadLimit(uint64_t given, uint64_t most, absl::string_view field, int64_t& to) {
  if (given > most) return Invalid(field, absl::StrCat("must be at most ", most));
  if (given > 0) to = static_cast<int64_t>(given);
  return absl::OkStatus();
}

v1::QueueLimits LimitsToProto(const QueueLimits& limits) {
  const QueueLimits by_default;
  v1::QueueLimits proto;
  if (limits.max_length != by_default.max_length) proto.set_max_length(static_cast<uint64_t>(limits.max_length));
  if (limits.drop_oldest) proto.set_overflow(v1::QueueLimits::OVERFLOW_DROP_OLDEST);
  proto.set_rate(limits.rate);
  proto.set_max_concurrency(static_cast<uint32_t>(limits.max_concurrency));
  if (limits.max_failed != by_default.max_failed) proto.set_max_failed(static_cast<uint32_t>(limits.max_failed));
  if (limits.keep_failed_for != by_default.keep_failed_for) {
    *proto.mutable_keep_failed_for() = DurationToProto(limits.keep_failed_for);
  }
  return proto;
}

void SetContent(Content content, v1::Task::Content* proto) {
  if (content.kind == Content::Kind::kBytes) proto->set_data(std::move(content.body));
  if (content.kind == Content::Kind::kJson) proto->mutable_value()->ParseFromString(content.body);
}

}  // namespace

std::string FieldPath(absl::string_view path, absl::string_view name) {
  return path.empty() ? std::string(name) : absl::StrCat(path, ".", name);
}

absl::StatusOr<TaskOutcome::FollowUp> NewTaskOf(const v1::EnqueueRequest& request, absl::string_view path) {
  return TaskReader(request, path).Read();
}

absl::StatusOr<Content> AtMost(size_t bytes, Content content, absl::string_view field) {
  if (content.body.size() <= bytes) return content;
  return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED,
                   absl::StrCat(field, " has ", content.body.size(), " bytes; at most ", bytes, " are taken"),
                   {{"limit", "content_bytes"}});
}

absl::StatusOr<TaskId> TaskIdOf(absl::string_view task_id) {
  if (task_id.empty()) return Invalid("task_id", "must not be empty");
  absl::StatusOr<TaskId> id = TaskId::Parse(task_id);
  if (!id.ok()) return Invalid("task_id", absl::StrCat("is no id of a task: ", id.status().message()));
  if (absl::Status valid = ValidateName(id->queue, "the queue in task_id"); !valid.ok()) return valid;
  if (absl::Status valid = ValidateName(id->id, "the id in task_id"); !valid.ok()) return valid;
  return id;
}

absl::StatusOr<std::string> QueueOrDefault(absl::string_view queue, absl::string_view field) {
  if (queue.empty()) return kDefaultQueue;
  if (absl::Status valid = ValidateName(queue, field); !valid.ok()) return valid;
  return std::string(queue);
}

absl::StatusOr<TaskState> TaskStateOf(v1::TaskState state, absl::string_view field) {
  if (state < v1::TASK_STATE_SCHEDULED || state > v1::TASK_STATE_CANCELLED) {
    return Invalid(field, absl::StrCat("is no state of a task: ", static_cast<int>(state)));
  }
  return static_cast<TaskState>(state);
}

absl::StatusOr<QueueLimits> QueueLimitsOf(const v1::QueueLimits& limits) {
  QueueLimits values;
  absl::Status status = ReadLimit(limits.max_length(), 100'000'000, "limits.max_length", values.max_length);
  status.Update(ReadLimit(limits.max_failed(), 1'000'000, "limits.max_failed", values.max_failed));
  if (!v1::QueueLimits::Overflow_IsValid(limits.overflow())) {
    status.Update(Invalid("limits.overflow", absl::StrCat("is none that is known: ", limits.overflow())));
  }
  values.drop_oldest = limits.overflow() == v1::QueueLimits::OVERFLOW_DROP_OLDEST;
  // So written, NaN is refused too.
  if (limits.rate() != 0 && !(limits.rate() >= 0.001 && limits.rate() <= 1'000'000)) {
    status.Update(Invalid("limits.rate", "must be 0, or 0.001 … 1,000,000"));
  }
  values.rate = limits.rate();
  values.max_concurrency = limits.max_concurrency();
  if (limits.has_keep_failed_for()) {
    const absl::StatusOr<absl::Duration> keep =
        DurationOf(limits.keep_failed_for(), kMicrosecond, kYear, "limits.keep_failed_for");
    status.Update(keep.status());
    if (keep.ok()) values.keep_failed_for = *keep;
  }
  if (!status.ok()) return status;
  return values;
}

v1::TaskState StateToProto(TaskState state) { return static_cast<v1::TaskState>(state); }

v1::Task TaskToProto(TaskView task, const std::string& queue) {
  v1::Task proto;
  proto.set_id(TaskId{.queue = queue, .id = std::move(task.id)}.ToString());
  proto.set_name(std::move(task.name));
  proto.set_queue(queue);
  if (task.input.has_value()) SetArguments(*std::move(task.input), &proto);
  proto.set_state(StateToProto(task.state));
  proto.set_priority(static_cast<uint32_t>(task.priority));
  proto.set_attempts(static_cast<uint32_t>(task.attempts));
  proto.set_max_attempts(static_cast<uint32_t>(task.max_attempts));
  proto.set_lost_leases(static_cast<uint32_t>(task.lost_leases));
  *proto.mutable_enqueued_at() = TimeToProto(task.enqueued_at);
  *proto.mutable_since() = TimeToProto(task.since);
  if (task.due_at.has_value()) *proto.mutable_due_at() = TimeToProto(*task.due_at);
  proto.set_worker(std::move(task.worker));
  if (!task.error.ok()) *proto.mutable_error() = ToProto(task.error);
  if (task.result.kind != Content::Kind::kNone) SetContent(std::move(task.result), proto.mutable_result());
  if (task.progress.kind != Content::Kind::kNone) SetContent(std::move(task.progress), proto.mutable_progress());
  return proto;
}

void SetEnd(TaskView task, v1::AwaitResponse* response) {
  response->set_state(StateToProto(task.state));
  if (task.state == TaskState::kDone) SetResult(std::move(task.result), response);
  if (task.state == TaskState::kFailed) *response->mutable_error() = ToProto(task.error);
}

v1::QueueCounts CountsToProto(const QueueCounts& counts) {
  v1::QueueCounts proto;
  proto.set_ready(static_cast<uint64_t>(counts.ready));
  proto.set_scheduled(static_cast<uint64_t>(counts.scheduled));
  proto.set_active(static_cast<uint64_t>(counts.active));
  proto.set_ended(static_cast<uint64_t>(counts.ended));
  proto.set_failed(static_cast<uint64_t>(counts.failed));
  proto.set_total_enqueued(static_cast<uint64_t>(counts.total_enqueued));
  proto.set_total_completed(static_cast<uint64_t>(counts.total_completed));
  proto.set_total_failures(static_cast<uint64_t>(counts.total_failures));
  proto.set_total_lost_leases(static_cast<uint64_t>(counts.total_lost_leases));
  return proto;
}

v1::Queue QueueToProto(const QueueView& queue) {
  v1::Queue proto;
  proto.set_name(queue.name);
  *proto.mutable_counts() = CountsToProto(queue.counts);
  if (queue.oldest_ready.has_value()) *proto.mutable_oldest_ready() = TimeToProto(*queue.oldest_ready);
  proto.set_paused(queue.paused);
  *proto.mutable_limits() = LimitsToProto(queue.limits);
  return proto;
}

size_t SizeOf(const TaskView& task) {
  const size_t input = task.input.has_value() ? task.input->body.size() : 0;
  return 256 + input + task.result.body.size() + task.progress.body.size() + task.error.message().size();
}

absl::Status NoSuchTask(const TaskId& id) {
  return MakeError(v1::ERROR_REASON_TASK_NOT_FOUND, absl::StrCat("there is no task ", id.ToString()));
}

}  // namespace actioncluster
