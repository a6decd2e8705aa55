#include "backplane/rpc/rpc.h"

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "backplane/domain/error.h"
#include "backplane/rpc/asker.h"
#include "backplane/rpc/responder.h"

namespace actioncluster {

// The way from other threads to the I/O thread, and from the bus and the membership to the two halves.
struct Rpc::Impl : std::enable_shared_from_this<Rpc::Impl> {
  Impl(Loop& io_loop, Bus& bus, Membership& membership, Presence& presence, const Keys& keys, LocalMethods& methods)
      : loop(io_loop),
        local(methods),
        asker(std::make_shared<Asker>(io_loop, bus, membership, presence, keys, methods, counters)),
        responder(std::make_shared<Responder>(io_loop, bus, membership, keys, methods, counters)) {}

  // A listener that nobody can take back: it does nothing once Rpc is gone.
  template <class F>
  auto Guard(F f) {
    return [weak = weak_from_this(), f = std::move(f)](auto&&... arguments) mutable {
      const std::shared_ptr<Impl> self = weak.lock();
      if (self != nullptr && !self->stopped) f(*self, std::forward<decltype(arguments)>(arguments)...);
    };
  }

  void Listen(Bus& bus, Membership& membership);
  void Stop();
  CallId Submit(CallSpec spec, bool notification, PendingCalls::Sinks sinks, std::shared_ptr<int> sent)
      ABSL_LOCKS_EXCLUDED(inbox_mutex);
  void BeginAll() {
    for (const RequestPtr& next : TakeInbox()) asker->Begin(next);
  }
  std::vector<RequestPtr> TakeInbox() ABSL_LOCKS_EXCLUDED(inbox_mutex);

  Loop& loop;
  LocalMethods& local;
  RpcCounters counters;
  bool stopped = false;  // I/O thread.
  const std::shared_ptr<Asker> asker;
  const std::shared_ptr<Responder> responder;

  std::atomic<CallId> last_id{0};
  absl::Mutex inbox_mutex;
  // What was asked for and not begun. Here rather than in the posted tasks, which a loop that stops may never run.
  std::vector<RequestPtr> inbox ABSL_GUARDED_BY(inbox_mutex);
};

void Rpc::Impl::Listen(Bus& bus, Membership& membership) {
  using internal::v1::Envelope;
  bus.Handle(Envelope::kCall, Guard([](Impl& self, const Envelope& envelope, absl::Time sent_at) {
               self.responder->OnCall(envelope, sent_at);
             }));
  bus.Handle(Envelope::kCancelCall,
             Guard([](Impl& self, const Envelope& envelope, absl::Time) { self.responder->OnCancel(envelope); }));
  bus.Handle(Envelope::kReply,
             Guard([](Impl& self, const Envelope& envelope, absl::Time) { self.asker->OnReply(envelope); }));
  bus.Handle(Envelope::kInterruption,
             Guard([](Impl& self, const Envelope& envelope, absl::Time) { self.asker->OnInterruption(envelope); }));
  bus.Handle(Envelope::kCallInquiry,
             Guard([](Impl& self, const Envelope& envelope, absl::Time) { self.responder->OnInquiry(envelope); }));
  bus.Handle(Envelope::kCallDenial,
             Guard([](Impl& self, const Envelope& envelope, absl::Time) { self.asker->OnDenial(envelope); }));
  bus.OnState(Guard([](Impl& self, const absl::Status& state) {
    self.asker->OnBusState(state);
    self.responder->OnBusState(state);
  }));
  membership.OnServing(Guard([](Impl& self, bool serving) { self.asker->OnServing(serving); }));
  membership.OnNode(Guard([](Impl& self, const NodeEvent& event) {
    self.asker->OnNode(event);
    const bool gone = event.kind == NodeEvent::Kind::kLeft || event.kind == NodeEvent::Kind::kLost;
    if (gone) self.local.CallerLost({event.node.id(), event.node.boot_id()});
  }));
}

void Rpc::Impl::Stop() {
  stopped = true;
  const absl::Status why = BackplaneUnavailable("the node is stopping");
  asker->Stop(why);
  responder->Stop();
  for (const RequestPtr& request : TakeInbox()) PendingCalls::EndWith(std::move(request->sinks), why);
}

CallId Rpc::Impl::Submit(CallSpec spec, bool notification, PendingCalls::Sinks sinks, std::shared_ptr<int> sent) {
  auto request = std::make_shared<Request>();
  const CallId id = ++last_id;
  request->call.id = id;
  request->call.method = std::move(spec.method);
  request->call.arguments = std::move(spec.arguments);
  request->call.deadline = spec.deadline;
  request->call.notification = notification;
  request->call.subject = std::move(spec.subject);
  if (auto* at = std::get_if<NodeOfConnection>(&spec.target)) request->call.connection_id = at->connection_id;
  request->target = std::move(spec.target);
  request->sinks = std::move(sinks);
  request->sent = std::move(sent);

  bool first;
  {
    absl::MutexLock lock(&inbox_mutex);
    first = inbox.empty();
    inbox.push_back(std::move(request));
  }
  if (first) {
    loop.Post(Guard([](Impl& self) { self.BeginAll(); }));
  }
  return id;
}

std::vector<RequestPtr> Rpc::Impl::TakeInbox() {
  absl::MutexLock lock(&inbox_mutex);
  return std::exchange(inbox, {});
}

Rpc::Rpc(Loop& loop, Bus& bus, Membership& membership, Presence& presence, const Keys& keys, LocalMethods& local)
    : impl_(std::make_shared<Impl>(loop, bus, membership, presence, keys, local)) {
  impl_->Listen(bus, membership);
}

Rpc::~Rpc() { impl_->Stop(); }

CallId Rpc::Call(CallSpec spec, Done done) {
  return impl_->Submit(std::move(spec), /*notification=*/false, PendingCalls::First{std::move(done)}, nullptr);
}

CallId Rpc::CallAll(CallSpec spec, OnShare on_share, AllDone done) {
  return impl_->Submit(std::move(spec), /*notification=*/false,
                       PendingCalls::Every{std::move(on_share), std::move(done)}, nullptr);
}

void Rpc::Notify(CallSpec spec, NotifyDone done) {
  auto sent = std::make_shared<int>(0);
  auto end = [sent, done = std::move(done)](const absl::StatusOr<CallResult>& result) mutable {
    if (result.ok()) {
      std::move(done)(*sent);
    } else {
      std::move(done)(result.status());
    }
  };
  impl_->Submit(std::move(spec), /*notification=*/true, PendingCalls::Sent{std::move(end)}, sent);
}

void Rpc::Cancel(CallId id) {
  impl_->loop.Post(impl_->Guard([id](Impl& self) {
    self.BeginAll();  // It may be among those whose turn has not come: then it would begin after this, and run on.
    self.asker->Cancel(id);
  }));
}

uint32_t Rpc::waiting() const { return impl_->asker->waiting(); }

CallId Rpc::newest() const { return impl_->last_id; }

uint32_t Rpc::WaitingUpTo(CallId newest) const { return impl_->asker->WaitingUpTo(newest); }

size_t Rpc::unsent() const { return impl_->responder->unsent(); }

const RpcCounters& Rpc::counters() const { return impl_->counters; }

}  // namespace actioncluster
