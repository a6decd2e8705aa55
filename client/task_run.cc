#include "client/task_run.h"

#include <exception>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "actioncluster/status.h"
#include "client/callback_scope.h"
#include "client/task_check.h"

namespace actioncluster::client {
namespace {

constexpr size_t kMaxMessageBytes = 8192;  // More is not kept.
constexpr char kStreamLost[] = "stream_lost";
// Stays in this process: on the way to a node it is a field of its own.
constexpr absl::string_view kNotRetryable = "actioncluster.client/not-retryable";

absl::StatusOr<TaskContent> Call(const TaskHandler& handler, TaskContext& context) {
  try {
    return handler(context);
  } catch (const std::exception& thrown) {
    return absl::UnknownError(thrown.what());
  } catch (...) {
    return absl::UnknownError("the handler threw what is no std::exception");
  }
}

TaskOutcome OutcomeOf(const TaskRun::Task& task, const absl::StatusOr<TaskContent>& result,
                      std::vector<v1::EnqueueRequest> follow_ups) {
  absl::Status error = result.status();
  if (error.ok()) error = CheckContent(result->proto(), kMaxResultBytes, "the result");
  if (!error.ok()) {
    v1::WorkRequest::Failed failed;
    failed.set_task_id(task.id());
    failed.set_token(task.token());
    *failed.mutable_error() = ToProto(absl::Status(error.code(), error.message().substr(0, kMaxMessageBytes)));
    if (!IsRetryable(error)) failed.set_retryable(false);
    return failed;
  }
  v1::WorkRequest::Completed completed;
  completed.set_task_id(task.id());
  completed.set_token(task.token());
  if (result->proto().has_value()) *completed.mutable_result() = result->proto().value();
  if (result->proto().has_data()) completed.set_data(result->proto().data());
  for (v1::EnqueueRequest& request : follow_ups) *completed.add_enqueue() = std::move(request);
  return completed;
}

}  // namespace

absl::Status NotRetryable(const absl::Status& error) {
  absl::Status marked = error;
  marked.SetPayload(kNotRetryable, absl::Cord());  // Nothing, on OK.
  return marked;
}

bool IsRetryable(const absl::Status& error) { return !error.GetPayload(kNotRetryable).has_value(); }

const v1::WorkResponse::Task& TaskContext::task() const { return run_.task(); }
bool TaskContext::IsCancelled() const { return !run_.CancelReason().empty(); }
std::string TaskContext::CancelReason() const { return run_.CancelReason(); }
void TaskContext::OnCancel(absl::AnyInvocable<void() &&> cancelled) { run_.OnCancel(std::move(cancelled)); }
absl::Status TaskContext::Progress(const TaskContent& content) { return run_.Progress(content); }
absl::Status TaskContext::EnqueueWithCompletion(v1::EnqueueRequest request) {
  return run_.EnqueueWithCompletion(std::move(request));
}

void TaskRun::Execute(TaskRun& run, const TaskHandler& handler) {
  if (!run.CancelReason().empty()) return run.End(absl::CancelledError("it was cancelled before it began"));
  TaskContext context(run);
  run.End(Call(handler, context));
}

std::string TaskRun::CancelReason() const {
  absl::MutexLock lock(&mutex_);
  return cancel_reason_;
}

void TaskRun::OnCancel(absl::AnyInvocable<void() &&> cancelled) {
  {
    absl::MutexLock lock(&mutex_);
    if (cancel_reason_.empty()) {
      if (listener_ != nullptr) std::swap(on_cancel_, cancelled);  // What was there goes, after the lock.
      return;
    }
  }
  if (cancelled != nullptr) std::move(cancelled)();
}

absl::Status TaskRun::Progress(const TaskContent& content) {
  if (!content.proto().has_value() && !content.proto().has_data()) {
    return absl::InvalidArgumentError("the progress says nothing");
  }
  if (absl::Status fault = CheckContent(content.proto(), kMaxProgressBytes, "the progress"); !fault.ok()) return fault;
  v1::WorkRequest::Progress progress;
  progress.set_task_id(task_.id());
  progress.set_token(task_.token());
  if (content.proto().has_value()) *progress.mutable_result() = content.proto().value();
  if (content.proto().has_data()) progress.set_data(content.proto().data());
  std::shared_ptr<Listener> listener;
  {
    absl::MutexLock lock(&mutex_);
    if (!cancel_reason_.empty()) return absl::CancelledError("the task is cancelled");
    listener = listener_;
  }
  if (listener != nullptr) listener->OnProgress(std::move(progress));
  return absl::OkStatus();
}

absl::Status TaskRun::EnqueueWithCompletion(v1::EnqueueRequest request) {
  if (absl::Status fault = CheckFollowUp(request); !fault.ok()) return fault;
  const size_t bytes = request.ByteSizeLong();
  absl::MutexLock lock(&mutex_);
  if (follow_ups_.size() == kMaxFollowUps) {
    return absl::ResourceExhaustedError(absl::StrCat("at most ", kMaxFollowUps, " tasks follow one"));
  }
  if (follow_up_bytes_ + bytes > kMaxFollowUpBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the tasks that follow one have at most ", kMaxFollowUpBytes, " bytes together"));
  }
  follow_up_bytes_ += bytes;
  follow_ups_.push_back(std::move(request));
  return absl::OkStatus();
}

void TaskRun::Cancel(absl::string_view reason) {
  absl::AnyInvocable<void() &&> on_cancel;
  {
    absl::MutexLock lock(&mutex_);
    if (listener_ == nullptr || !cancel_reason_.empty()) return;
    cancel_reason_ = reason.empty() ? "cancelled" : std::string(reason);
    std::swap(on_cancel, on_cancel_);
  }
  if (on_cancel == nullptr) return;
  const CallbackScope scope;
  std::move(on_cancel)();
}

void TaskRun::StreamLost() {
  Cancel(kStreamLost);
  std::shared_ptr<Listener> listener;  // May be the last that holds it: to go without the lock.
  absl::MutexLock lock(&mutex_);
  std::swap(listener, listener_);
}

void TaskRun::End(const absl::StatusOr<TaskContent>& result) {
  std::shared_ptr<Listener> listener;
  absl::AnyInvocable<void() &&> unneeded;
  std::vector<v1::EnqueueRequest> follow_ups;
  {
    absl::MutexLock lock(&mutex_);
    std::swap(listener, listener_);
    std::swap(unneeded, on_cancel_);
    std::swap(follow_ups, follow_ups_);
  }
  if (listener != nullptr) listener->OnOutcome(OutcomeOf(task_, result, std::move(follow_ups)));
}

}  // namespace actioncluster::client
