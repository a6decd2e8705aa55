#include "client/call_state.h"

#include <exception>
#include <utility>

#include "absl/status/status.h"
#include "actioncluster/status.h"
#include "client/callback_scope.h"

namespace actioncluster::client {
namespace {

CallState::Reply ErrorReply(const absl::Status& error) {
  CallState::Reply reply;
  *reply.mutable_error() = ToProto(error);
  return reply;
}

}  // namespace

struct Invocation::Impl {
  explicit Impl(std::shared_ptr<CallState> call_state) : state(std::move(call_state)) {}
  ~Impl() { state->Abandon(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  const std::shared_ptr<CallState> state;
};

Invocation::Invocation(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Invocation::Invocation(Invocation&&) noexcept = default;
Invocation& Invocation::operator=(Invocation&&) noexcept = default;
Invocation::~Invocation() = default;

const v1::ServeResponse::Call& Invocation::call() const { return impl_->state->call(); }
bool Invocation::IsCancelled() const { return impl_->state->IsCancelled(); }
void Invocation::OnCancel(absl::AnyInvocable<void() &&> cancelled) { impl_->state->OnCancel(std::move(cancelled)); }

void Invocation::Return(google::protobuf::Value result) && {
  CallState::Reply reply;
  *reply.mutable_result() = std::move(result);
  impl_->state->Answer(std::move(reply));
}

void Invocation::ReturnBytes(std::string data) && {
  CallState::Reply reply;
  reply.set_data(std::move(data));
  impl_->state->Answer(std::move(reply));
}

void Invocation::ReturnNothing() && { impl_->state->Answer({}); }

void Invocation::Fail(const absl::Status& error) && { impl_->state->Answer(ErrorReply(error)); }

Handler Returning(
    std::function<absl::StatusOr<google::protobuf::Value>(const v1::ServeResponse::Call& call)> function) {
  return [function = std::move(function)](Invocation invocation) {
    absl::StatusOr<google::protobuf::Value> result = function(invocation.call());
    if (!result.ok()) return std::move(invocation).Fail(result.status());
    std::move(invocation).Return(*std::move(result));
  };
}

void CallState::Run(const std::shared_ptr<CallState>& state, const Handler& handler) {
  if (state->IsCancelled()) return;
  state->HandlerBegins();
  try {
    handler(Invocation(std::make_unique<Invocation::Impl>(state)));
    state->HandlerReturned();
  } catch (const std::exception& thrown) {
    state->Answer(ErrorReply(absl::UnknownError(thrown.what())));
  } catch (...) {
    state->Answer(ErrorReply(absl::UnknownError("the handler threw what is no std::exception")));
  }
}

bool CallState::IsCancelled() const {
  absl::MutexLock lock(&mutex_);
  return cancelled_;
}

void CallState::OnCancel(absl::AnyInvocable<void() &&> cancelled) {
  {
    absl::MutexLock lock(&mutex_);
    if (!cancelled_) {
      if (send_ != nullptr) std::swap(on_cancel_, cancelled);  // What was there goes, after the lock.
      return;
    }
  }
  std::move(cancelled)();
}

void CallState::Answer(Reply reply) {
  Send send = nullptr;
  absl::AnyInvocable<void() &&> unneeded;
  {
    absl::MutexLock lock(&mutex_);
    std::swap(send, send_);
    std::swap(unneeded, on_cancel_);
  }
  if (send == nullptr) return;
  reply.set_call_id(call_.call_id());
  std::move(send)(std::move(reply));
}

void CallState::Cancel() {
  Send unneeded = nullptr;
  absl::AnyInvocable<void() &&> on_cancel;
  {
    absl::MutexLock lock(&mutex_);
    if (send_ == nullptr) return;
    cancelled_ = true;
    std::swap(unneeded, send_);
    std::swap(on_cancel, on_cancel_);
  }
  if (on_cancel == nullptr) return;
  const CallbackScope scope;
  std::move(on_cancel)();
}

void CallState::Abandon() {
  {
    absl::MutexLock lock(&mutex_);
    abandoned_ = true;
    if (in_handler_) return;
  }
  Answer(ErrorReply(absl::InternalError("the handler let go of the call without an answer")));
}

void CallState::HandlerBegins() {
  absl::MutexLock lock(&mutex_);
  in_handler_ = true;
}

void CallState::HandlerReturned() {
  bool abandoned;
  {
    absl::MutexLock lock(&mutex_);
    in_handler_ = false;
    abandoned = abandoned_;
  }
  if (abandoned) Abandon();
}

}  // namespace actioncluster::client
