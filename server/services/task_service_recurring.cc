#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backplane/domain/error.h"
#include "server/grpc/content.h"
#include "server/services/caller.h"
#include "server/services/queue_tour.h"
#include "server/services/recurring_proto.h"
#include "server/services/task_proto.h"
#include "server/services/task_service.h"

namespace actioncluster {
namespace {

// More than this is not gathered for one answer, of which inputs may be left out.
constexpr size_t kMaxGatheredBytes = size_t{64} * 1024 * 1024;
constexpr size_t kMostBytesWithInputs = size_t{3} * 1024 * 1024;
// A tag and a length.
constexpr size_t kFieldBytes = 8;

absl::Status TooManySchedules() {
  return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "the schedules are too many for one answer: list them by queue",
                   {{"limit", "response_bytes"}});
}

// One ListRecurring: the schedules of some queues, converted off the I/O thread. Confined to the I/O thread.
class ListRecurringFlow : public std::enable_shared_from_this<ListRecurringFlow> {
 public:
  ListRecurringFlow(TaskStore& store, Offload& offload, UnaryCall* call, v1::ListRecurringResponse* response)
      : store_(store), offload_(offload), call_(call), caller_(call), response_(response) {}

  void OfAllQueues() {
    store_.ListQueues([self = shared_from_this()](absl::StatusOr<std::vector<std::string>> queues) {
      if (!queues.ok()) return (void)self->call_->Finish(queues.status());
      self->Of(*std::move(queues));
    });
  }

  void Of(std::vector<std::string> queues) {
    queues_ = queues;
    QueueTour<std::vector<RecurringView>>::Start(
        std::move(queues), caller_,
        [self = shared_from_this()](const std::string& queue, TaskStore::Then<std::vector<RecurringView>> then) {
          self->store_.ListSchedules(
              queue, [self, then = std::move(then)](absl::StatusOr<std::vector<RecurringView>> schedules) mutable {
                std::move(then)(self->Bounded(std::move(schedules)));
              });
        },
        [self = shared_from_this()](absl::StatusOr<std::vector<std::vector<RecurringView>>> schedules) {
          if (!schedules.ok()) return (void)self->call_->Finish(schedules.status());
          self->Answer(*std::move(schedules));
        });
  }

 private:
  absl::StatusOr<std::vector<RecurringView>> Bounded(absl::StatusOr<std::vector<RecurringView>> schedules) {
    if (!schedules.ok()) return schedules;
    for (const RecurringView& view : *schedules) bytes_ += view.schedule.size() + view.id.size();
    if (bytes_ <= kMaxGatheredBytes) return schedules;
    return TooManySchedules();
  }

  void Answer(std::vector<std::vector<RecurringView>> schedules) {
    offload_.Run(bytes_, [self = shared_from_this(), schedules = std::move(schedules)] {
      size_t bytes = 0;
      for (size_t i = 0; i < schedules.size(); ++i) {
        for (const RecurringView& view : schedules[i]) {
          v1::ListRecurringResponse::Recurring& one = *self->response_->add_recurring();
          one = RecurringToProto(view, self->queues_[i]);
          if (bytes + one.ByteSizeLong() > kMostBytesWithInputs)
            one.mutable_schedule()->mutable_task()->clear_content();
          bytes += one.ByteSizeLong() + kFieldBytes;
        }
      }
      self->call_->Finish(bytes <= kMaxListingBytes ? absl::OkStatus() : TooManySchedules());
    });
  }

  TaskStore& store_;
  Offload& offload_;
  UnaryCall* const call_;
  const Caller caller_;
  v1::ListRecurringResponse* const response_;
  std::vector<std::string> queues_;
  size_t bytes_ = 0;
};

}  // namespace

grpc::ServerUnaryReactor* TaskService::ScheduleRecurring(grpc::CallbackServerContext* context,
                                                         const v1::ScheduleRecurringRequest* request,
                                                         v1::ScheduleRecurringResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("ScheduleRecurring", *context); !admitted.ok()) return call->Finish(admitted);
  absl::StatusOr<Recurring> recurring = RecurringOf(*request);
  if (!recurring.ok()) return call->Finish(recurring.status());
  rooms_.loop.Post([this, call, response, recurring = *std::move(recurring)] {
    if (!rooms_.clock.known()) {
      call->Finish(BackplaneUnavailable("this node does not know Redis's time yet"));
      return;
    }
    const std::optional<absl::Time> first = recurring.schedule->After(rooms_.clock.At(MonotonicNow()));
    if (!first.has_value()) {
      call->Finish(absl::InvalidArgumentError("the schedule has no slot any more"));
      return;
    }
    rooms_.store.SetSchedule(recurring.queue, recurring.id, recurring.record.SerializeAsString(), recurring.timing,
                             *first, [call, response](const absl::StatusOr<TaskStore::Scheduled>& scheduled) {
                               if (scheduled.ok()) {
                                 *response->mutable_next() = TimeToProto(scheduled->next);
                                 response->set_created(scheduled->created);
                               }
                               call->Finish(scheduled.status());
                             });
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* TaskService::StopRecurring(grpc::CallbackServerContext* context,
                                                     const v1::StopRecurringRequest* request,
                                                     v1::StopRecurringResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("StopRecurring", *context); !admitted.ok()) return call->Finish(admitted);
  absl::StatusOr<std::string> queue = QueueOrDefault(request->queue(), "queue");
  if (!queue.ok()) return call->Finish(queue.status());
  if (absl::Status valid = ValidateName(request->id(), "id"); !valid.ok()) return call->Finish(valid);
  rooms_.loop.Post([this, call, response, queue = *std::move(queue), id = request->id()] {
    rooms_.store.StopSchedule(queue, id, [call, response](absl::StatusOr<bool> stopped) {
      if (stopped.ok()) response->set_stopped(*stopped);
      call->Finish(stopped.status());
    });
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* TaskService::ListRecurring(grpc::CallbackServerContext* context,
                                                     const v1::ListRecurringRequest* request,
                                                     v1::ListRecurringResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("ListRecurring", *context); !admitted.ok()) return call->Finish(admitted);
  if (!request->queue().empty()) {
    if (absl::Status valid = ValidateName(request->queue(), "queue"); !valid.ok()) return call->Finish(valid);
  }
  rooms_.loop.Post([this, call, response, queue = request->queue()] {
    const auto flow = std::make_shared<ListRecurringFlow>(rooms_.store, rooms_.offload, call, response);
    if (queue.empty()) {
      flow->OfAllQueues();
    } else {
      flow->Of({queue});
    }
  });
  return call->reactor();
}

}  // namespace actioncluster
