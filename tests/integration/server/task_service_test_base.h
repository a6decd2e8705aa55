#ifndef ACTIONCLUSTER_TESTS_INTEGRATION_SERVER_TASK_SERVICE_TEST_BASE_H_
#define ACTIONCLUSTER_TESTS_INTEGRATION_SERVER_TASK_SERVICE_TEST_BASE_H_

#include <grpcpp/client_context.h>

#include <chrono>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"
#include "google/rpc/error_info.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "tests/fakes/redis_server.h"
#include "tests/integration/server/local_node.h"

namespace actioncluster {

inline std::string ReasonOf(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (details.ParseFromString(status.error_details()) && details.details_size() > 0) details.details(0).UnpackTo(&info);
  return info.reason();
}

template <class Message>
Message FromJson(const std::string& json) {
  Message message;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &message).ok()) << json;
  return message;
}

// A worker that the test plays itself.
class TestWorker {
 public:
  TestWorker(v1::TaskService::Stub& stub, const std::string& queue, uint32_t concurrency = 1)
      : stream_(stub.Work(&context_)) {
    v1::WorkRequest frame;
    frame.mutable_start()->add_queues(queue);
    frame.mutable_start()->set_concurrency(concurrency);
    stream_->Write(frame);
    EXPECT_TRUE(Read().has_started());
  }
  ~TestWorker() {
    context_.TryCancel();
    stream_->Finish();
  }

  v1::WorkResponse Read() {
    v1::WorkResponse frame;
    return stream_->Read(&frame) ? frame : v1::WorkResponse();
  }
  v1::WorkResponse::Task Take() { return Read().tasks().tasks(0); }
  void Send(const v1::WorkRequest::Outcomes& outcomes) {
    v1::WorkRequest frame;
    *frame.mutable_outcomes() = outcomes;
    stream_->Write(frame);
  }
  // Sends an outcome, and awaits that it is recorded.
  v1::TaskState Complete(const v1::WorkResponse::Task& task, const std::string& result) {
    v1::WorkRequest::Outcomes outcomes;
    v1::WorkRequest::Completed* done = outcomes.add_completed();
    done->set_task_id(task.id());
    done->set_token(task.token());
    done->mutable_result()->set_string_value(result);
    Send(outcomes);
    return Read().recorded().outcomes(0).state();
  }
  v1::TaskState Fail(const v1::WorkResponse::Task& task, bool retryable) {
    v1::WorkRequest::Outcomes outcomes;
    v1::WorkRequest::Failed* failed = outcomes.add_failed();
    failed->set_task_id(task.id());
    failed->set_token(task.token());
    failed->mutable_error()->set_code(9);
    failed->mutable_error()->set_message("no paper");
    failed->set_retryable(retryable);
    Send(outcomes);
    return Read().recorded().outcomes(0).state();
  }

  void Progress(const v1::WorkResponse::Task& task, const std::string& data) {
    v1::WorkRequest::Outcomes outcomes;
    v1::WorkRequest::Progress* progress = outcomes.add_progress();
    progress->set_task_id(task.id());
    progress->set_token(task.token());
    progress->set_data(data);
    Send(outcomes);
  }
  // When it returns the node has let it go: nothing is given to it any more.
  void Leave() {
    stream_->WritesDone();
    while (Read().frame_case() != v1::WorkResponse::FRAME_NOT_SET) continue;
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkRequest, v1::WorkResponse>> stream_;
};

// Two nodes on one Redis. Calls go to the first.
class TaskServiceTest : public testing::Test {
 protected:
  using Stub = v1::TaskService::Stub;

  // Calls a unary method of node 1 with a request given as JSON.
  template <class Request, class Response>
  grpc::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const std::string& json, Response* response) {
    return CallWith(method, FromJson<Request>(json), response);
  }
  template <class Request, class Response>
  grpc::Status CallWith(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                        const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    return (one_.tasks().*method)(&context, request, response);
  }
  std::string Enqueue(const std::string& json) {
    v1::EnqueueResponse response;
    const grpc::Status status = Call(&Stub::Enqueue, json, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.task_id();
  }
  grpc::Status EnqueueFails(const std::string& json) {
    v1::EnqueueResponse response;
    return Call(&Stub::Enqueue, json, &response);
  }
  v1::Task Get(const std::string& id) {
    v1::GetResponse response;
    EXPECT_TRUE(Call(&Stub::Get, absl::StrCat(R"({"taskId":")", id, R"("})"), &response).ok());
    return response.task();
  }

  fakes::RedisServer redis_;
  LocalNode one_{redis_.endpoint()};
  LocalNode two_{redis_.endpoint()};
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_TESTS_INTEGRATION_SERVER_TASK_SERVICE_TEST_BASE_H_
