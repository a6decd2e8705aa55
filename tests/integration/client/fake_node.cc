#include "tests/integration/client/fake_node.h"

#include <grpc/grpc.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "google/rpc/error_info.pb.h"
#include "google/rpc/status.pb.h"

namespace actioncluster::client {

class FakeNode::Rpc final : public v1::RpcService::Service {
 public:
  explicit Rpc(FakeNode& node) : node_(node) {}

 private:
  grpc::Status Call(grpc::ServerContext*, const v1::CallRequest*, v1::CallResponse*) override {
    return node_.Count("Call");
  }
  grpc::Status CallAll(grpc::ServerContext*, const v1::CallAllRequest*,
                       grpc::ServerWriter<v1::CallAllResponse>*) override {
    return node_.Count("CallAll");
  }
  grpc::Status Notify(grpc::ServerContext*, const v1::NotifyRequest*, v1::NotifyResponse*) override {
    return node_.Count("Notify");
  }
  grpc::Status ListMethods(grpc::ServerContext*, const v1::ListMethodsRequest*, v1::ListMethodsResponse*) override {
    return node_.Count("ListMethods");
  }
  grpc::Status Serve(grpc::ServerContext*, ServeStream* stream) override {
    const grpc::Status status = node_.Count("Serve");
    return node_.scripts_.serve == nullptr ? status : node_.scripts_.serve(*stream);
  }

  FakeNode& node_;
};

class FakeNode::Cluster final : public v1::ClusterService::Service {
 public:
  explicit Cluster(FakeNode& node) : node_(node) {}

 private:
  grpc::Status ListNodes(grpc::ServerContext*, const v1::ListNodesRequest*, v1::ListNodesResponse*) override {
    return node_.Count("ListNodes");
  }
  grpc::Status GetNode(grpc::ServerContext*, const v1::GetNodeRequest*, v1::GetNodeResponse*) override {
    return node_.Count("GetNode");
  }
  grpc::Status WatchNodes(grpc::ServerContext*, const v1::WatchNodesRequest*,
                          grpc::ServerWriter<v1::WatchNodesResponse>*) override {
    return node_.Count("WatchNodes");
  }
  grpc::Status Drain(grpc::ServerContext*, const v1::DrainRequest*, v1::DrainResponse*) override {
    return node_.Count("Drain");
  }

  FakeNode& node_;
};

class FakeNode::PubSub final : public v1::PubSubService::Service {
 public:
  explicit PubSub(FakeNode& node) : node_(node) {}

 private:
  grpc::Status Publish(grpc::ServerContext*, const v1::PublishRequest*, v1::PublishResponse*) override {
    return node_.Count("Publish");
  }
  grpc::Status Subscribe(grpc::ServerContext* context, const v1::SubscribeRequest*, SubscribeWriter* writer) override {
    const grpc::Status status = node_.Count("Subscribe");
    return node_.scripts_.subscribe == nullptr ? status : node_.scripts_.subscribe(*context, *writer);
  }

  FakeNode& node_;
};

class FakeNode::Tasks final : public v1::TaskService::Service {
 public:
  explicit Tasks(FakeNode& node) : node_(node) {}

 private:
  grpc::Status Enqueue(grpc::ServerContext*, const v1::EnqueueRequest*, v1::EnqueueResponse*) override {
    return node_.Count("Enqueue");
  }
  grpc::Status EnqueueMany(grpc::ServerContext*, const v1::EnqueueManyRequest*, v1::EnqueueManyResponse*) override {
    return node_.Count("EnqueueMany");
  }
  grpc::Status Await(grpc::ServerContext*, const v1::AwaitRequest*, v1::AwaitResponse*) override {
    return node_.Count("Await");
  }
  grpc::Status Get(grpc::ServerContext*, const v1::GetRequest*, v1::GetResponse*) override {
    return node_.Count("Get");
  }
  grpc::Status List(grpc::ServerContext*, const v1::ListRequest*, v1::ListResponse*) override {
    return node_.Count("List");
  }
  grpc::Status Count(grpc::ServerContext*, const v1::CountRequest*, v1::CountResponse*) override {
    return node_.Count("Count");
  }
  grpc::Status Delete(grpc::ServerContext*, const v1::DeleteRequest*, v1::DeleteResponse*) override {
    return node_.Count("Delete");
  }
  grpc::Status DeleteMany(grpc::ServerContext*, const v1::DeleteManyRequest*, v1::DeleteManyResponse*) override {
    return node_.Count("DeleteMany");
  }
  grpc::Status Cancel(grpc::ServerContext*, const v1::CancelRequest*, v1::CancelResponse*) override {
    return node_.Count("Cancel");
  }
  grpc::Status ScheduleRecurring(grpc::ServerContext*, const v1::ScheduleRecurringRequest*,
                                 v1::ScheduleRecurringResponse*) override {
    return node_.Count("ScheduleRecurring");
  }
  grpc::Status StopRecurring(grpc::ServerContext*, const v1::StopRecurringRequest*,
                             v1::StopRecurringResponse*) override {
    return node_.Count("StopRecurring");
  }
  grpc::Status ListRecurring(grpc::ServerContext*, const v1::ListRecurringRequest*,
                             v1::ListRecurringResponse*) override {
    return node_.Count("ListRecurring");
  }
  grpc::Status ListFailed(grpc::ServerContext*, const v1::ListFailedRequest*, v1::ListFailedResponse*) override {
    return node_.Count("ListFailed");
  }
  grpc::Status RetryFailed(grpc::ServerContext*, const v1::RetryFailedRequest*, v1::RetryFailedResponse*) override {
    return node_.Count("RetryFailed");
  }
  grpc::Status RemoveFailed(grpc::ServerContext*, const v1::RemoveFailedRequest*, v1::RemoveFailedResponse*) override {
    return node_.Count("RemoveFailed");
  }
  grpc::Status ListQueues(grpc::ServerContext*, const v1::ListQueuesRequest*, v1::ListQueuesResponse*) override {
    return node_.Count("ListQueues");
  }
  grpc::Status PauseQueue(grpc::ServerContext*, const v1::PauseQueueRequest*, v1::PauseQueueResponse*) override {
    return node_.Count("PauseQueue");
  }
  grpc::Status ResumeQueue(grpc::ServerContext*, const v1::ResumeQueueRequest*, v1::ResumeQueueResponse*) override {
    return node_.Count("ResumeQueue");
  }
  grpc::Status DeleteQueue(grpc::ServerContext*, const v1::DeleteQueueRequest*, v1::DeleteQueueResponse*) override {
    return node_.Count("DeleteQueue");
  }
  grpc::Status SetQueueLimits(grpc::ServerContext*, const v1::SetQueueLimitsRequest*,
                              v1::SetQueueLimitsResponse*) override {
    return node_.Count("SetQueueLimits");
  }
  grpc::Status ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest*, v1::ListWorkersResponse*) override {
    return node_.Count("ListWorkers");
  }
  grpc::Status Stats(grpc::ServerContext*, const v1::StatsRequest*, v1::StatsResponse*) override {
    return node_.Count("Stats");
  }
  grpc::Status WatchTask(grpc::ServerContext*, const v1::WatchTaskRequest*,
                         grpc::ServerWriter<v1::WatchTaskResponse>*) override {
    return node_.Count("WatchTask");
  }
  grpc::Status Work(grpc::ServerContext*, WorkStream* stream) override {
    const grpc::Status status = node_.Count("Work");
    return node_.scripts_.work == nullptr ? status : node_.scripts_.work(*stream);
  }

  FakeNode& node_;
};

class FakeNode::Cache final : public v1::CacheService::Service {
 public:
  explicit Cache(FakeNode& node) : node_(node) {}

 private:
  grpc::Status Save(grpc::ServerContext*, const v1::SaveRequest*, v1::SaveResponse*) override {
    return node_.Count("Save");
  }
  grpc::Status Destroy(grpc::ServerContext*, const v1::DestroyRequest*, v1::DestroyResponse*) override {
    return node_.Count("Destroy");
  }
  grpc::Status CompareAndSave(grpc::ServerContext*, const v1::CompareAndSaveRequest*,
                              v1::CompareAndSaveResponse*) override {
    return node_.Count("CompareAndSave");
  }
  grpc::Status Increment(grpc::ServerContext*, const v1::IncrementRequest*, v1::IncrementResponse*) override {
    return node_.Count("Increment");
  }
  grpc::Status SaveMany(grpc::ServerContext*, const v1::SaveManyRequest*, v1::SaveManyResponse*) override {
    return node_.Count("SaveMany");
  }
  grpc::Status LoadMany(grpc::ServerContext*, const v1::LoadManyRequest*, v1::LoadManyResponse*) override {
    return node_.Count("LoadMany");
  }
  grpc::Status DestroyMany(grpc::ServerContext*, const v1::DestroyManyRequest*, v1::DestroyManyResponse*) override {
    return node_.Count("DestroyMany");
  }
  grpc::Status Lock(grpc::ServerContext*, const v1::LockRequest*, v1::LockResponse*) override {
    return node_.Count("Lock");
  }
  grpc::Status Unlock(grpc::ServerContext*, const v1::UnlockRequest*, v1::UnlockResponse*) override {
    return node_.Count("Unlock");
  }
  grpc::Status CheckLock(grpc::ServerContext*, const v1::CheckLockRequest*, v1::CheckLockResponse*) override {
    return node_.Count("CheckLock");
  }
  grpc::Status Push(grpc::ServerContext*, const v1::PushRequest*, v1::PushResponse*) override {
    return node_.Count("Push");
  }
  grpc::Status Pop(grpc::ServerContext*, const v1::PopRequest*, v1::PopResponse*) override {
    return node_.Count("Pop");
  }
  grpc::Status ListLength(grpc::ServerContext*, const v1::ListLengthRequest*, v1::ListLengthResponse*) override {
    return node_.Count("ListLength");
  }
  grpc::Status Size(grpc::ServerContext*, const v1::SizeRequest*, v1::SizeResponse*) override {
    return node_.Count("Size");
  }
  grpc::Status Clear(grpc::ServerContext*, const v1::ClearRequest*, v1::ClearResponse*) override {
    return node_.Count("Clear");
  }
  grpc::Status ListKeys(grpc::ServerContext*, const v1::ListKeysRequest*,
                        grpc::ServerWriter<v1::ListKeysResponse>* writer) override {
    const grpc::Status status = node_.Count("ListKeys");
    return node_.scripts_.list_keys == nullptr ? status : node_.scripts_.list_keys(*writer);
  }
  grpc::Status ListLocks(grpc::ServerContext*, const v1::ListLocksRequest*,
                         grpc::ServerWriter<v1::ListLocksResponse>*) override {
    return node_.Count("ListLocks");
  }
  grpc::Status Load(grpc::ServerContext*, const v1::LoadRequest* request, v1::LoadResponse* response) override {
    const grpc::Status status = node_.Count("Load");
    return node_.scripts_.load == nullptr ? status : node_.scripts_.load(*request, response);
  }
  grpc::Status Pipeline(grpc::ServerContext*, PipelineStream* stream) override {
    const grpc::Status status = node_.Count("Pipeline");
    return node_.scripts_.pipeline == nullptr ? status : node_.scripts_.pipeline(*stream);
  }
  grpc::Status Dump(grpc::ServerContext*, const v1::DumpRequest*,
                    grpc::ServerWriter<v1::DumpResponse>* writer) override {
    const grpc::Status status = node_.Count("Dump");
    return node_.scripts_.dump == nullptr ? status : node_.scripts_.dump(*writer);
  }
  grpc::Status Restore(grpc::ServerContext*, grpc::ServerReader<v1::RestoreRequest>* reader,
                       v1::RestoreResponse* response) override {
    const grpc::Status status = node_.Count("Restore");
    return node_.scripts_.restore == nullptr ? status : node_.scripts_.restore(*reader, response);
  }

  FakeNode& node_;
};

FakeNode::FakeNode(Scripts scripts) : scripts_(std::move(scripts)) {
  services_.push_back(std::make_unique<Rpc>(*this));
  services_.push_back(std::make_unique<Cluster>(*this));
  services_.push_back(std::make_unique<PubSub>(*this));
  services_.push_back(std::make_unique<Tasks>(*this));
  services_.push_back(std::make_unique<Cache>(*this));
  grpc::ServerBuilder builder;
  // Otherwise gRPC takes in advance, on a quick machine, a lot of what no script has read yet.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  for (const auto& service : services_) builder.RegisterService(service.get());
  server_ = builder.BuildAndStart();
  CHECK(server_ != nullptr && port > 0);
  address_ = absl::StrCat("127.0.0.1:", port);
}

FakeNode::~FakeNode() { server_->Shutdown(std::chrono::system_clock::now()); }

std::map<std::string, int> FakeNode::calls() const {
  absl::MutexLock lock(&mutex_);
  return calls_;
}

grpc::Status FakeNode::Count(const std::string& rpc) {
  absl::MutexLock lock(&mutex_);
  ++calls_[rpc];
  return grpc::Status(grpc::StatusCode::UNAVAILABLE, "not now");
}

v1::ServeResponse Registered() {
  v1::ServeResponse frame;
  frame.mutable_registered()->set_node_id("fake");
  return frame;
}

v1::ServeResponse CallFrame(const std::string& call_id, const std::string& method) {
  v1::ServeResponse frame;
  frame.mutable_call()->set_call_id(call_id);
  frame.mutable_call()->set_method(method);
  return frame;
}

v1::ServeResponse Draining(const std::vector<std::string>& alternatives) {
  v1::ServeResponse frame;
  frame.mutable_draining()->mutable_alternatives()->Assign(alternatives.begin(), alternatives.end());
  return frame;
}

v1::WorkResponse Started(absl::Duration heartbeat_every) {
  v1::WorkResponse frame;
  frame.mutable_started()->set_node_id("fake");
  frame.mutable_started()->set_worker_id("fake-1");
  frame.mutable_started()->mutable_heartbeat_every()->set_seconds(heartbeat_every / absl::Seconds(1));
  frame.mutable_started()->mutable_heartbeat_every()->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(heartbeat_every % absl::Seconds(1))));
  return frame;
}

v1::WorkResponse TaskFrame(const std::string& id, int64_t token, const std::string& name) {
  v1::WorkResponse frame;
  v1::WorkResponse::Task* const task = frame.mutable_tasks()->add_tasks();
  task->set_id(id);
  task->set_token(token);
  task->set_name(name);
  return frame;
}

v1::WorkResponse RevokedFrame(const std::string& id, int64_t token, const std::string& reason) {
  v1::WorkResponse frame;
  frame.mutable_revoked()->set_task_id(id);
  frame.mutable_revoked()->set_token(token);
  frame.mutable_revoked()->set_reason(reason);
  return frame;
}

v1::WorkResponse WorkDraining(const std::vector<std::string>& alternatives) {
  v1::WorkResponse frame;
  frame.mutable_draining()->mutable_alternatives()->Assign(alternatives.begin(), alternatives.end());
  return frame;
}

grpc::Status ConfirmAll(FakeNode::ServeStream& stream) {
  for (v1::ServeRequest frame; stream.Read(&frame);) {
    if (frame.has_register_()) stream.Write(Registered());
  }
  return grpc::Status::OK;
}

grpc::Status FailingWith(const std::string& reason, const std::map<std::string, std::string>& metadata) {
  google::rpc::ErrorInfo info;
  info.set_domain("actioncluster");
  info.set_reason(reason);
  info.mutable_metadata()->insert(metadata.begin(), metadata.end());
  google::rpc::Status details;
  details.add_details()->PackFrom(info);
  return grpc::Status(grpc::StatusCode::UNAVAILABLE, "this node drains", details.SerializeAsString());
}

grpc::Status GoneTo(const std::string& alternatives) {
  return FailingWith("BACKPLANE_UNAVAILABLE", {{"alternatives", alternatives}});
}

}  // namespace actioncluster::client
