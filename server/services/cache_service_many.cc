#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "server/services/cache_operations.h"
#include "server/services/cache_pipeline_stream.h"
#include "server/services/cache_service.h"
#include "server/services/caller.h"

namespace actioncluster {
namespace {

using cache_operations::Place;

// So many changes are under way at once, as they bring nothing large: a usual batch goes to Redis at once. Of loads: a Window.
constexpr size_t kMaxChanges = 1000;
// What gRPC's clients take by default, less what is around the outcomes.
constexpr size_t kMaxAnswerBytes = size_t{4096 - 64} * 1024;
// What an outcome takes besides its content, about: tags, lengths, a version.
constexpr size_t kBesides = 16;
// What is kept free for each outcome to come: an error of a code and a reason.
constexpr size_t kLeast = 40;

// One call about many keys: each operation by itself, begun in the order of the request. Made on any thread; from Begin on confined to the I/O thread.
//
// The answer has a limit, for clients refuse one that is larger, and all of it. A value that does not fit is an error; so are, at once, those that have not been asked for by then. An error
// that does not fit has no metadata, or no message either.
template <class Operation, class Response, class Set>
class ManyFlow : public std::enable_shared_from_this<ManyFlow<Operation, Response, Set>> {
 public:
  using Outcome = typename Operation::Outcome;
  static constexpr bool kLoads = std::is_same_v<Operation, cache_operations::Load>;

  ManyFlow(const CacheService::Rooms& rooms, UnaryCall* call, Response* response, Set set)
      : place_{.cache = rooms.cache, .near = rooms.near},
        offload_(rooms.offload),
        call_(call),
        caller_(call),
        response_(response),
        set_(std::move(set)) {}

  void Reserve(size_t operations) {
    operations_.reserve(operations);
    outcomes_.reserve(operations);
    missing_ = operations;
  }
  // After Reserve. What is not valid has its outcome now; so has what the node has in its own memory.
  void Add(absl::StatusOr<Operation> operation) {
    operations_.push_back(std::nullopt);
    outcomes_.push_back(std::nullopt);
    if (!operation.ok()) return Keep(outcomes_.size() - 1, operation.status());
    if constexpr (requires { operation->FindNear(place_.near); }) {
      if (auto found = operation->FindNear(place_.near)) return Keep(outcomes_.size() - 1, *std::move(found));
    }
    operations_.back() = *std::move(operation);
    ++open_;
  }

  // `loop`: for what Redis has to be asked for.
  void Begin(Loop& loop) {
    if (open_ == 0) return Answer();
    loop.Post([self = this->shared_from_this()] { self->Step(); });
  }

 private:
  struct Kept {
    std::optional<Outcome> done;
    v1::Error error;  // Unless it is done.
  };

  size_t AtOnce() const { return kLoads ? window_.size() : kMaxChanges; }

  void Step() {
    for (; next_ < operations_.size() && running_ < AtOnce() && !caller_.gone(); ++next_) {
      std::optional<Operation> operation = std::exchange(operations_[next_], std::nullopt);
      if (!operation.has_value()) continue;
      if (full_) {
        KeepError(next_, TooMuch());
        continue;
      }
      ++running_;
      operation->Start(place_, absl::InfinitePast(),
                       [self = this->shared_from_this(), position = next_](absl::StatusOr<Outcome> outcome) {
                         --self->running_;
                         self->window_.OnOutcome(outcome.ok() ? Operation::SizeOf(*outcome) : 0);
                         self->Keep(position, std::move(outcome));
                         self->Step();
                       });
    }
    if (running_ > 0) return;
    if (next_ < operations_.size()) {
      call_->Finish(Caller::Gone());
    } else {
      Answer();
    }
  }

  void Keep(size_t position, absl::StatusOr<Outcome> outcome) {
    if (!outcome.ok()) return KeepError(position, ToProto(outcome.status()));
    const size_t content = Operation::SizeOf(*outcome);
    if constexpr (kLoads) {
      // One of the largest values is an answer too, if it is the first.
      const bool alone = !any_value_ && kBesides + content > kMaxAnswerBytes;
      if (!alone && !Fits(kBesides + content)) {
        full_ = true;
        return KeepError(position, TooMuch());
      }
      any_value_ = true;
      full_ |= alone;
    }
    Put(position, kBesides + content, {.done = *std::move(outcome), .error = {}});
  }
  void KeepError(size_t position, v1::Error error) {
    if (!Fits(kBesides + error.ByteSizeLong())) error.clear_metadata();
    if (!Fits(kBesides + error.ByteSizeLong())) error.clear_message();
    const size_t bytes = kBesides + error.ByteSizeLong();
    Put(position, bytes, {.done = std::nullopt, .error = std::move(error)});
  }
  void Put(size_t position, size_t bytes, Kept kept) {
    bytes_ += bytes;
    --missing_;
    outcomes_[position] = std::move(kept);
  }
  // The others have to fit too.
  bool Fits(size_t bytes) const { return bytes_ + bytes + kLeast * (missing_ - 1) <= kMaxAnswerBytes; }

  static v1::Error TooMuch() {
    return ToProto(MakeError(
        v1::ERROR_REASON_LIMIT_EXCEEDED,
        absl::StrCat("with this, the answer would have more than ", kMaxAnswerBytes, " bytes: load it by itself"),
        {{"limit", "answer_bytes"}}));
  }

  void Answer() {
    offload_.Run(bytes_, [self = this->shared_from_this()] {
      self->response_->mutable_outcomes()->Reserve(static_cast<int>(self->outcomes_.size()));
      for (std::optional<Kept>& outcome : self->outcomes_) {
        auto* to = self->response_->add_outcomes();
        if (outcome->done.has_value()) {
          self->set_(*std::move(outcome->done), to);
        } else {
          *to->mutable_error() = std::move(outcome->error);
        }
      }
      self->call_->Finish(absl::OkStatus());
    });
  }

  // Constant after construction.
  const Place place_;
  Offload& offload_;
  UnaryCall* const call_;
  const Caller caller_;
  Response* const response_;
  const Set set_;

  std::vector<std::optional<Operation>> operations_;  // Nothing: it has been begun, or need not be.
  std::vector<std::optional<Kept>> outcomes_;
  size_t missing_ = 0;  // Outcomes to come.
  size_t bytes_ = 0;    // Of the outcomes.
  bool any_value_ = false;
  bool full_ = false;  // A value did not fit, or fills it alone: no more are asked for.
  size_t open_ = 0;    // Operations for Redis.
  size_t next_ = 0;    // To be begun.
  size_t running_ = 0;
  cache_operations::Window window_;
};

template <class Operation, class Response, class Set>
auto MakeFlow(const CacheService::Rooms& rooms, UnaryCall* call, Response* response, Set set) {
  return std::make_shared<ManyFlow<Operation, Response, Set>>(rooms, call, response, std::move(set));
}

}  // namespace

grpc::ServerUnaryReactor* CacheService::SaveMany(grpc::CallbackServerContext* context,
                                                 const v1::SaveManyRequest* request, v1::SaveManyResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("SaveMany", *context); !admitted.ok()) return call->Finish(admitted);
  const auto count = static_cast<size_t>(request->entries_size());
  if (absl::Status valid = ValidateCacheBatch(count, "entries", limits_); !valid.ok()) return call->Finish(valid);
  const auto flow = MakeFlow<cache_operations::Save>(
      rooms_, call, response, [](const SaveOutcome& saved, v1::SaveManyResponse::Outcome* outcome) {
        outcome->set_replaced(saved.replaced);
        outcome->set_version(saved.version);
      });
  flow->Reserve(count);
  for (const v1::SaveRequest& entry : request->entries()) flow->Add(cache_operations::Save::Of(entry, limits_));
  flow->Begin(rooms_.loop);
  return call->reactor();
}

grpc::ServerUnaryReactor* CacheService::LoadMany(grpc::CallbackServerContext* context,
                                                 const v1::LoadManyRequest* request, v1::LoadManyResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("LoadMany", *context); !admitted.ok()) return call->Finish(admitted);
  const auto count = static_cast<size_t>(request->keys_size());
  if (absl::Status valid = ValidateCacheBatch(count, "keys", limits_); !valid.ok()) return call->Finish(valid);
  const auto flow = MakeFlow<cache_operations::Load>(
      rooms_, call, response, [](cache_operations::Load::Outcome loaded, v1::LoadManyResponse::Outcome* outcome) {
        cache_operations::Load::Set(std::move(loaded), outcome->mutable_entry());
      });
  flow->Reserve(count);
  v1::LoadRequest one;
  one.set_holder(request->holder());
  one.set_allow_near(request->allow_near());
  for (const std::string& key : request->keys()) {
    one.set_key(key);
    flow->Add(cache_operations::Load::Of(one, limits_));
  }
  flow->Begin(rooms_.loop);
  return call->reactor();
}

grpc::ServerUnaryReactor* CacheService::DestroyMany(grpc::CallbackServerContext* context,
                                                    const v1::DestroyManyRequest* request,
                                                    v1::DestroyManyResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("DestroyMany", *context); !admitted.ok()) return call->Finish(admitted);
  const auto count = static_cast<size_t>(request->keys_size());
  if (absl::Status valid = ValidateCacheBatch(count, "keys", limits_); !valid.ok()) return call->Finish(valid);
  const auto flow = MakeFlow<cache_operations::Destroy>(
      rooms_, call, response,
      [](bool destroyed, v1::DestroyManyResponse::Outcome* outcome) { outcome->set_destroyed(destroyed); });
  flow->Reserve(count);
  v1::DestroyRequest one;
  one.set_holder(request->holder());
  for (const std::string& key : request->keys()) {
    one.set_key(key);
    flow->Add(cache_operations::Destroy::Of(one, limits_));
  }
  flow->Begin(rooms_.loop);
  return call->reactor();
}

grpc::ServerBidiReactor<v1::PipelineRequest, v1::PipelineResponse>* CacheService::Pipeline(
    grpc::CallbackServerContext* context) {
  return CachePipelineStream::Start({.loop = rooms_.loop,
                                     .place = {.cache = rooms_.cache, .near = rooms_.near},
                                     .pipelines = rooms_.pipelines,
                                     .offload = rooms_.offload,
                                     .limits = limits_},
                                    *context, Admit("Pipeline", *context));
}

}  // namespace actioncluster
