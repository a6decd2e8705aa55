#include "client/attachment.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/random/distributions.h"
#include "absl/strings/str_split.h"
#include "actioncluster/status.h"
#include "client/callback_scope.h"
#include "client/channel.h"
#include "client/clock.h"

namespace actioncluster::client {
namespace {

// A node that has not confirmed by then is not waited for: others may.
constexpr absl::Duration kAttachLimit = absl::Seconds(2);
constexpr absl::Duration kLearnEvery = absl::Seconds(30);
constexpr absl::Duration kLearnAgainAfter = absl::Seconds(1);
constexpr absl::Duration kLearnLimit = absl::Seconds(2);

bool IsPermanent(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
      return true;
    default:
      return false;
  }
}

// Where else to go, as a stream's end may say.
std::vector<std::string> AlternativesIn(const absl::Status& status) {
  const std::map<std::string, std::string> metadata = MetadataOf(status);
  const auto found = metadata.find("alternatives");
  if (found == metadata.end()) return {};
  return absl::StrSplit(found->second, ',', absl::SkipEmpty());
}

}  // namespace

std::shared_ptr<Attachment> Attachment::Create(const Client& client, MakeSession make_session,
                                               AttachmentListener listener, IsFinal is_final) {
  return std::shared_ptr<Attachment>(
      new Attachment(client, std::move(make_session), std::move(listener), std::move(is_final)));
}

Attachment::Attachment(const Client& client, MakeSession make_session, AttachmentListener listener, IsFinal is_final)
    : client_(client),
      make_session_(std::move(make_session)),
      listener_(std::move(listener)),
      is_final_(std::move(is_final)),
      plan_(client.options().addresses, random_),
      retry_(strand_),
      learn_(strand_),
      grace_(strand_) {}

void Attachment::Start() {
  strand_.Post([self = shared_from_this()] { self->TryNext(); });
}

absl::Status Attachment::AwaitAttached(absl::Duration limit) {
  absl::MutexLock lock(&mutex_);
  const auto decided = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return attached_ || over_.has_value(); };
  if (!mutex_.AwaitWithTimeout(absl::Condition(&decided), limit)) {
    return absl::DeadlineExceededError("not attached to any node yet");
  }
  if (!over_.has_value()) return absl::OkStatus();
  return over_->ok() ? absl::CancelledError("it was stopped") : *over_;
}

void Attachment::Stop(absl::Duration grace) {
  strand_.Post([self = shared_from_this(), at = MonotonicNow() + grace] {
    self->End(absl::OkStatus());
    if (at >= self->grace_ends_) return;
    self->grace_ends_ = at;
    if (at <= MonotonicNow()) return self->CancelAll();
    self->grace_.Set(at, [self] { self->CancelAll(); });
  });
  absl::MutexLock lock(&mutex_);
  const auto over = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return over_.has_value(); };
  mutex_.Await(absl::Condition(&over));
}

void Attachment::TryNext() {
  const AttachPlan::Attempt attempt = plan_.Next(MonotonicNow());
  if (attempt.at <= MonotonicNow()) return Begin(attempt.address);
  retry_.Set(attempt.at, [self = shared_from_this(), address = attempt.address] { self->Begin(address); });
}

void Attachment::Begin(const std::string& address) {
  const auto link = std::make_shared<Link>(strand_);
  current_ = link;
  link->address = address;
  absl::StatusOr<std::string> target = TargetOf({address});
  if (!target.ok()) {
    // A node may name what is none; never inside this call, as the next might be as bad.
    return strand_.Post([self = shared_from_this(), link, why = target.status()] {
      self->OnEnded(link, absl::UnavailableError(why.message()));
    });
  }
  link->channel = Connect(*target);
  link->session = make_session_(link->channel, ObserverOf(link));
  link->limit.Set(MonotonicNow() + kAttachLimit, [self = shared_from_this(), link] {
    self->CancelLink(link, absl::UnavailableError("the node did not confirm in time"));
  });
  link->session->Start();
}

Session::Observer Attachment::ObserverOf(const LinkPtr& link) {
  const std::shared_ptr<Attachment> self = shared_from_this();
  return {
      .attached =
          [self, link](const std::string& node_id) {
            self->strand_.Post([self, link, node_id] { self->OnAttached(link, node_id); });
          },
      .draining =
          [self, link](const std::vector<std::string>& alternatives) {
            self->strand_.Post([self, link, alternatives] { self->OnDraining(link, alternatives); });
          },
      .ended = [self, link](
                   const absl::Status& why) { self->strand_.Post([self, link, why] { self->OnEnded(link, why); }); }};
}

void Attachment::OnAttached(const LinkPtr& link, const std::string& node_id) {
  if (end_.has_value() || link->attached || !link->cancelled_for.ok()) return;
  link->attached = true;
  link->limit.Cancel();
  ArmTick(link);
  if (link != current_) return;
  plan_.Attached(MonotonicNow());
  for (const LinkPtr& left : leaving_) Retire(left);
  if (!has_learnt_) {
    Learn();
  } else {
    // Those who have just lost one node come to the others all at once: that they are back goes before a newer list.
    learn_.Set(MonotonicNow() + kLearnAgainAfter * absl::Uniform(random_, 1.0, 5.0),
               [self = shared_from_this()] { self->Learn(); });
  }
  {
    absl::MutexLock lock(&mutex_);
    attached_ = true;
  }
  Tell(AttachmentEvent::Kind::kAttached, link->address, node_id, absl::OkStatus());
}

void Attachment::OnDraining(const LinkPtr& link, const std::vector<std::string>& alternatives) {
  if (end_.has_value() || link != current_) return;
  plan_.Leave(link->address, alternatives, MonotonicNow());
  // Just being attached, it would decline every call.
  if (!link->attached) return CancelLink(link, absl::UnavailableError("the node drains"));
  leaving_.insert(link);
  current_ = nullptr;
  learn_.Cancel();
  TryNext();
}

void Attachment::OnEnded(const LinkPtr& link, const absl::Status& ended_with) {
  const absl::Status& why = !link->cancelled_for.ok() ? link->cancelled_for
                            : ended_with.ok()         ? absl::UnavailableError("the node has ended the stream")
                                                      : ended_with;
  link->limit.Cancel();
  link->tick.Cancel();
  link->session = nullptr;  // It holds what holds the link.
  const bool is_current = link == current_;
  leaving_.erase(link);
  if (is_current) current_ = nullptr;
  if (end_.has_value()) return EndIfIdle();
  if (link->retired) return;
  if (link->attached) {
    absl::MutexLock lock(&mutex_);
    attached_ = false;
  }
  Tell(AttachmentEvent::Kind::kLost, link->address, "", why);
  if (!is_current) return;  // Its successor is on its way.
  learn_.Cancel();
  if (is_final_ != nullptr && is_final_(why)) return End(why);
  // What a node says that was only heard of may be somebody else's word, at an address that means another machine here.
  const std::vector<std::string>& configured = client_.options().addresses;
  if (IsPermanent(why) && std::find(configured.begin(), configured.end(), link->address) != configured.end()) {
    return End(why);
  }
  if (const std::vector<std::string> alternatives = AlternativesIn(why); !alternatives.empty()) {
    plan_.Leave(link->address, alternatives, MonotonicNow());
  } else {
    plan_.Failed(link->address, MonotonicNow());
  }
  TryNext();
}

void Attachment::CancelLink(const LinkPtr& link, const absl::Status& why) {
  if (link->cancelled_for.ok()) link->cancelled_for = why;
  if (link->session != nullptr) link->session->Cancel();
}

void Attachment::Retire(const LinkPtr& link) {
  if (std::exchange(link->retired, true)) return;
  link->session->Retire();
}

void Attachment::ArmTick(const LinkPtr& link) {
  const absl::Duration every = link->session->tick_every();
  if (every == absl::InfiniteDuration()) return;
  link->tick.Set(MonotonicNow() + every, [self = shared_from_this(), link] {
    link->session->Tick();
    self->ArmTick(link);
  });
}

void Attachment::Learn() {
  struct Call {
    v1::ListNodesRequest request;
    v1::ListNodesResponse response;
    std::unique_ptr<v1::ClusterService::Stub> stub;
  };
  if (learning_ != nullptr || current_ == nullptr) return;
  learning_ = std::make_shared<grpc::ClientContext>();
  client_.Prepare(*learning_, kLearnLimit);
  auto call = std::make_shared<Call>();
  call->stub = v1::ClusterService::NewStub(current_->channel);
  call->stub->async()->ListNodes(
      learning_.get(), &call->request, &call->response, [self = shared_from_this(), call](const grpc::Status& status) {
        std::vector<std::string> addresses;
        for (const v1::Node& node : call->response.nodes()) {
          if (!node.draining() && node.addresses_size() > 0) {
            addresses.push_back(node.addresses(0));
          }
        }
        if (!status.ok()) addresses.clear();
        self->strand_.Post(
            [self, addresses = std::move(addresses)]() mutable { self->OnLearnt(std::move(addresses)); });
      });
}

void Attachment::OnLearnt(std::vector<std::string> addresses) {
  learning_ = nullptr;
  if (end_.has_value()) return EndIfIdle();
  // Nothing: the call failed. What is known is better than that.
  const bool failed = addresses.empty();
  if (!failed) {
    plan_.Learn(std::move(addresses));
    has_learnt_ = true;
  }
  if (current_ == nullptr || !current_->attached) return;
  learn_.Set(MonotonicNow() + (failed ? kLearnAgainAfter : kLearnEvery),
             [self = shared_from_this()] { self->Learn(); });
}

void Attachment::End(const absl::Status& status) {
  if (end_.has_value()) return;
  end_ = status;
  retry_.Cancel();
  learn_.Cancel();
  if (learning_ != nullptr) learning_->TryCancel();
  for (const LinkPtr& link : leaving_) Retire(link);
  if (current_ != nullptr && current_->attached) {
    Retire(current_);
  } else if (current_ != nullptr) {
    CancelLink(current_, absl::CancelledError("it was stopped"));
  }
  EndIfIdle();
}

void Attachment::CancelAll() {
  const absl::Status why = absl::CancelledError("it was stopped");
  for (const LinkPtr& link : leaving_) CancelLink(link, why);
  if (current_ != nullptr) CancelLink(current_, why);
}

void Attachment::EndIfIdle() {
  if (told_end_ || current_ != nullptr || !leaving_.empty() || learning_ != nullptr) return;
  told_end_ = true;
  grace_.Cancel();
  Tell(AttachmentEvent::Kind::kEnded, "", "", *end_);
  absl::MutexLock lock(&mutex_);
  attached_ = false;
  over_ = *end_;
}

void Attachment::Tell(AttachmentEvent::Kind kind, const std::string& address, const std::string& node_id,
                      const absl::Status& status) {
  if (listener_ == nullptr) return;
  const CallbackScope scope;
  listener_({.kind = kind, .address = address, .node_id = node_id, .status = status});
}

}  // namespace actioncluster::client
