#include "tests/cluster/outage_probes.h"

#include <grpcpp/client_context.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cluster/cache_calls.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/connection_calls.h"
#include "tests/cluster/task_calls.h"
#include "tests/cluster/task_worker.h"

namespace actioncluster::cluster {
namespace {

using Rpc = v1::RpcService::Stub;
using Tasks = v1::TaskService::Stub;
using Nodes = v1::ClusterService::Stub;
using PubSub = v1::PubSubService::Stub;

constexpr absl::Duration kLong = absl::Minutes(1);
constexpr int kItems = 100;  // More than are taken.
constexpr char kQueue[] = "outage";
constexpr char kTask[] = "kept";

void SetLimit(absl::Duration limit, grpc::ClientContext* context) {
  context->set_deadline(absl::ToChronoTime(absl::Now() + limit));
}

// A name that nothing has yet.
std::string Fresh() {
  static std::atomic<int> count = 0;
  return absl::StrCat("fresh-", ++count);
}

template <class Stub, class Request, class Response>
Probe Unary(const std::string& name, Stub& (Node::*service)() const,
            grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*), const Request& request) {
  return {name, [=](const Node& node, absl::Duration limit) {
            return Heard(AskStub((node.*service)(), rpc, request, limit).status);
          }};
}

// The request is another each time.
template <class Stub, class Request, class Response>
Probe Unary(const std::string& name, Stub& (Node::*service)() const,
            grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*),
            std::function<Request()> request) {
  return {name, [=](const Node& node, absl::Duration limit) {
            return Heard(AskStub((node.*service)(), rpc, request(), limit).status);
          }};
}

// Each part has its own outcome; there is one part.
template <class Stub, class Request, class Response>
Probe Many(const std::string& name, Stub& (Node::*service)() const,
           grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*), const Request& request) {
  return {name, [=](const Node& node, absl::Duration limit) {
            const auto answered = AskStub((node.*service)(), rpc, request, limit);
            return answered.ok() ? Heard(answered.response.outcomes(0).error()) : Heard(answered.status);
          }};
}

// A stream of answers, to its end.
template <class Stub, class Request, class Response>
Probe Stream(const std::string& name, Stub& (Node::*service)() const,
             std::unique_ptr<grpc::ClientReader<Response>> (Stub::*rpc)(grpc::ClientContext*, const Request&),
             const Request& request) {
  return {name, [=](const Node& node, absl::Duration limit) {
            grpc::ClientContext context;
            SetLimit(limit, &context);
            const auto stream = ((node.*service)().*rpc)(&context, request);
            for (Response frame; stream->Read(&frame);) {
            }
            return Heard(stream->Finish());
          }};
}

// A stream of what happens: its first frame, or its end.
template <class Stub, class Request, class Response>
Probe Watch(const std::string& name, Stub& (Node::*service)() const,
            std::unique_ptr<grpc::ClientReader<Response>> (Stub::*rpc)(grpc::ClientContext*, const Request&),
            const Request& request) {
  return {name, [=](const Node& node, absl::Duration limit) {
            grpc::ClientContext context;
            SetLimit(limit, &context);
            const auto stream = ((node.*service)().*rpc)(&context, request);
            Response frame;
            const bool stands = stream->Read(&frame);
            if (stands) context.TryCancel();
            const grpc::Status end = stream->Finish();
            return Heard(stands ? grpc::Status::OK : end);
          }};
}

// A stream of both: the first frame is answered by another, or the stream ends.
template <class Stub, class Request, class Response>
Probe Attach(const std::string& name, Stub& (Node::*service)() const,
             std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> (Stub::*rpc)(grpc::ClientContext*),
             std::function<void(Request& first)> fill) {
  return {name, [=](const Node& node, absl::Duration limit) {
            grpc::ClientContext context;
            SetLimit(limit, &context);
            const auto stream = ((node.*service)().*rpc)(&context);
            Request first;
            fill(first);
            stream->Write(first);
            Response frame;
            const bool stands = stream->Read(&frame);
            if (stands) context.TryCancel();
            const grpc::Status end = stream->Finish();
            return Heard(stands ? grpc::Status::OK : end);
          }};
}

Heard AskToSubscribe(const Node& node, absl::Duration limit) {
  grpc::ClientContext context;
  SetLimit(limit, &context);
  v1::SubscribeRequest request;
  request.add_message_types(Fresh());
  const auto stream = node.pubsub().Subscribe(&context, request);
  stream->WaitForInitialMetadata();
  const bool stands = !context.GetServerInitialMetadata().empty();
  if (stands) context.TryCancel();
  const grpc::Status end = stream->Finish();
  return Heard(stands ? grpc::Status::OK : end);
}

// Of the one node that offers it.
Heard AskAll(const Node& node, absl::Duration limit) {
  grpc::ClientContext context;
  SetLimit(limit, &context);
  v1::CallAllRequest request;
  request.set_method("echo");
  const auto stream = node.rpc().CallAll(&context, request);
  v1::Error error;
  for (v1::CallAllResponse reply; stream->Read(&reply);) error = reply.error();
  const grpc::Status end = stream->Finish();
  return end.ok() ? Heard(error) : Heard(end);
}

Heard AskByPipeline(const Node& node, absl::Duration limit) {
  grpc::ClientContext context;
  SetLimit(limit, &context);
  const auto stream = node.cache().Pipeline(&context);
  v1::PipelineRequest frame;
  *frame.add_operations()->mutable_load() = On<v1::LoadRequest>("k");
  stream->Write(frame);
  v1::PipelineResponse answer;
  const bool answered = stream->Read(&answer);
  if (answered) context.TryCancel();
  const grpc::Status end = stream->Finish();
  return answered ? Heard(answer.results(0).error()) : Heard(end);
}

Heard AskToRestore(const Node& node, absl::Duration limit) {
  grpc::ClientContext context;
  SetLimit(limit, &context);
  v1::RestoreResponse response;
  const auto stream = node.cache().Restore(&context, &response);
  v1::RestoreRequest begin;
  v1::RestoreRequest entry;
  v1::RestoreRequest end;
  begin.mutable_begin()->set_restore_id(Fresh());
  entry.mutable_entry()->set_key("restored");
  entry.mutable_entry()->set_data("value");
  end.mutable_end()->set_entries(1);
  for (const v1::RestoreRequest& frame : {begin, entry, end}) stream->Write(frame);
  stream->WritesDone();
  return Heard(stream->Finish());
}

std::vector<Probe> CacheProbes() {
  v1::SaveManyRequest save_many;
  *save_many.add_entries() = SaveOf("k", "value");
  v1::LoadManyRequest load_many;
  load_many.add_keys("k");
  const auto cache = &Node::cache;
  return {
      Unary("cache Load", cache, &Cache::Load, On<v1::LoadRequest>("k")),
      Unary("cache Save", cache, &Cache::Save, SaveOf("k", "value")),
      Unary("cache Increment", cache, &Cache::Increment, On<v1::IncrementRequest>("count")),
      Unary("cache Destroy", cache, &Cache::Destroy, On<v1::DestroyRequest>("other")),
      Many("cache SaveMany", cache, &Cache::SaveMany, save_many),
      Many("cache LoadMany", cache, &Cache::LoadMany, load_many),
      {"cache Pipeline", AskByPipeline},
      Unary("cache Lock", cache, &Cache::Lock, LockOf("free", "me", kLong)),
      Unary("cache Lock that waits", cache, &Cache::Lock, LockOf("free", "me", kLong, kLong)),
      Unary("cache CheckLock", cache, &Cache::CheckLock, On<v1::CheckLockRequest>("free")),
      Stream("cache ListLocks", cache, &Cache::ListLocks, v1::ListLocksRequest()),
      Unary("cache Push", cache, &Cache::Push, PushOf("items", "item")),
      Unary("cache Pop", cache, &Cache::Pop, PopOf("items")),
      Unary("cache Pop that waits", cache, &Cache::Pop, PopOf("items", kLong)),
      Unary("cache ListLength", cache, &Cache::ListLength, On<v1::ListLengthRequest>("items")),
      Stream("cache ListKeys", cache, &Cache::ListKeys, v1::ListKeysRequest()),
      Unary("cache Size", cache, &Cache::Size, v1::SizeRequest()),
      Stream("cache Dump", cache, &Cache::Dump, v1::DumpRequest()),
      {"cache Restore", AskToRestore},
  };
}

std::vector<Probe> TaskProbes() {
  const v1::EnqueueRequest task = Retained(NewTask("work", kQueue));
  v1::EnqueueManyRequest many;
  *many.add_tasks() = task;
  v1::AwaitRequest await;
  v1::GetRequest get;
  v1::WatchTaskRequest watch;
  for (std::string* id : {await.mutable_task_id(), get.mutable_task_id(), watch.mutable_task_id()})
    *id = absl::StrCat(kQueue, "/", kTask);
  v1::ListRequest list;
  list.mutable_filter()->set_queue(kQueue);
  list.mutable_filter()->set_state(v1::TASK_STATE_DONE);
  v1::CountRequest count;
  *count.mutable_filter() = list.filter();
  v1::ScheduleRecurringRequest recurring;
  recurring.set_id("tick");
  SetDuration(kLong, recurring.mutable_every());
  *recurring.mutable_task() = NewTask("work", "recurring");
  v1::ListFailedRequest failed;
  failed.set_queue(kQueue);
  v1::PauseQueueRequest pause;
  pause.set_queue("paused");
  const auto tasks = &Node::tasks;
  return {
      Unary("tasks Enqueue", tasks, &Tasks::Enqueue, task),
      Many("tasks EnqueueMany", tasks, &Tasks::EnqueueMany, many),
      Unary("tasks Await", tasks, &Tasks::Await, await),
      Watch("tasks WatchTask", tasks, &Tasks::WatchTask, watch),
      Unary("tasks Get", tasks, &Tasks::Get, get),
      Unary("tasks List", tasks, &Tasks::List, list),
      Unary("tasks Count", tasks, &Tasks::Count, count),
      Unary("tasks ScheduleRecurring", tasks, &Tasks::ScheduleRecurring, recurring),
      Unary("tasks ListFailed", tasks, &Tasks::ListFailed, failed),
      Unary("tasks ListQueues", tasks, &Tasks::ListQueues, v1::ListQueuesRequest()),
      Unary("tasks PauseQueue", tasks, &Tasks::PauseQueue, pause),
      Unary("tasks Stats", tasks, &Tasks::Stats, v1::StatsRequest()),
  };
}

std::vector<Probe> CallProbes(const Node& home) {
  const v1::CallRequest echo = Request("echo", "[1]");
  v1::CallRequest to_ann = echo;
  to_ann.set_connection_id("ann");
  v1::NotifyRequest notify;
  notify.set_method("echo");
  v1::PublishRequest publish;
  publish.set_message_type("news");
  publish.set_data("text");
  const auto rpc = &Node::rpc;
  return {
      Unary("rpc Call", rpc, &Rpc::Call, echo),
      Unary("rpc Call of any", rpc, &Rpc::Call, ToAny(echo)),
      Unary("rpc Call of a node", rpc, &Rpc::Call, ToNode(home.id(), Request("node.ping"))),
      Unary("rpc Call by connection", rpc, &Rpc::Call, to_ann),
      {"rpc CallAll", AskAll},
      Unary("rpc Notify", rpc, &Rpc::Notify, notify),
      Unary("rpc ListMethods", rpc, &Rpc::ListMethods, v1::ListMethodsRequest()),
      Attach<Rpc, v1::ServeRequest, v1::ServeResponse>(
          "rpc Serve", rpc, &Rpc::Serve,
          [](v1::ServeRequest& first) { first.mutable_register_()->add_methods(Fresh()); }),
      Unary("pubsub Publish", &Node::pubsub, &PubSub::Publish, publish),
      {"pubsub Subscribe", AskToSubscribe},
      Unary("cluster ListNodes", &Node::cluster, &Nodes::ListNodes, v1::ListNodesRequest()),
      Unary("cluster GetNode", &Node::cluster, &Nodes::GetNode, v1::GetNodeRequest()),
  };
}

std::vector<Probe> ConnectionProbes() {
  v1::RoomServiceExistsRequest exists;
  exists.set_room("hall");
  v1::RoomServiceStatusRequest status;
  status.set_room("hall");
  v1::WatchRoomRequest watch;
  watch.set_room(kWatchedRoom);
  const auto connections = &Node::connections;
  const auto rooms = &Node::rooms;
  return {
      Attach<Connections, v1::OpenRequest, v1::OpenResponse>(
          "connections Open", connections, &Connections::Open,
          [](v1::OpenRequest& first) { *first.mutable_hello() = HelloOf(Fresh()); }),
      Unary("connections Apply", connections, &Connections::Apply, ApplyOf("ann", "set", R"(["a", 1])")),
      Unary("connections Invoke", connections, &Connections::Invoke, InvokeOf("ann", "age")),
      Unary("connections Get", connections, &Connections::Get, GetOf("ann")),
      Unary("connections List", connections, &Connections::List, v1::ConnectionServiceListRequest()),
      Unary<Rooms, v1::RoomServiceCreateRequest>("rooms Create", rooms, &Rooms::Create,
                                                 [] {
                                                   v1::RoomServiceCreateRequest create;
                                                   create.set_room(Fresh());
                                                   return create;
                                                 }),
      Unary("rooms Exists", rooms, &Rooms::Exists, exists),
      Unary("rooms List", rooms, &Rooms::List, v1::RoomServiceListRequest()),
      Unary("rooms Status", rooms, &Rooms::Status, status),
      Unary("rooms AddMember", rooms, &Rooms::AddMember, AddOf("ann", "hall")),
      Unary("rooms Broadcast", rooms, &Rooms::Broadcast, BroadcastOf("hall", "1")),
      Watch("rooms WatchRoom", rooms, &Rooms::WatchRoom, watch),
  };
}

}  // namespace

Heard::Heard(const grpc::Status& status)
    : code(status.error_code()), reason(ReasonOf(status)), message(status.error_message()) {}

Heard::Heard(const v1::Error& error)
    : code(static_cast<grpc::StatusCode>(error.code())), reason(error.reason()), message(error.message()) {}

void PrintTo(const Heard& heard, std::ostream* out) {
  *out << "code " << heard.code << " " << heard.reason << ": " << heard.message << ", after " << heard.took;
}

std::vector<Probe> ProbesThatNeedRedis(const Node& home) {
  std::vector<Probe> all;
  for (std::vector<Probe>& some : std::vector{CacheProbes(), TaskProbes(), CallProbes(home), ConnectionProbes()})
    std::move(some.begin(), some.end(), std::back_inserter(all));
  return all;
}

void PrepareProbes(const Node& node) {
  Good(AskStub(node.cache(), &Cache::Save, SaveOf("k", "value"), kPatience));
  for (int i = 0; i < kItems; ++i) Good(AskStub(node.cache(), &Cache::Push, PushOf("items", "item"), kPatience));
  CreateRoom(node, "hall");
  CreateRoom(node, kWatchedRoom);
  const TaskWorker worker(node, {.queues = {kQueue}}, Completing);
  Enqueue(node, WithId(kTask, Retained(NewTask("work", kQueue))));
  worker.recorded().Next();
}

Heard Ask(const Probe& probe, const Node& node, absl::Duration limit) {
  const absl::Time begun = absl::Now();
  Heard heard = probe.ask(node, limit);
  heard.took = absl::Now() - begun;
  return heard;
}

}  // namespace actioncluster::cluster
