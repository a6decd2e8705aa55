#include "server/services/worker_proto.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

constexpr size_t kMessage = size_t{4} << 20;

WorkerView Busy(int number, int tasks) {
  WorkerView view;
  view.worker_id = absl::StrCat("worker-", number);
  view.spec.queues = {"mail"};
  for (int i = 0; i < tasks; ++i) {
    WorkerView::Working working;
    working.lease = {.queue = "mail", .id = std::string(250, 'i'), .token = i};
    working.name = std::string(250, 'n');
    view.tasks.push_back(std::move(working));
  }
  return view;
}

TEST(WorkerProtoTest, AWorkerIsListedWithWhatItDoes) {
  WorkerView view = Busy(7, 2);
  view.spec.all_queues = true;
  view.spec.queues.clear();
  view.spec.names = {"send"};
  view.spec.concurrency = 3;
  view.spec.name = "mailer";
  std::vector<WorkerView> views;
  views.push_back(std::move(view));
  const v1::ListWorkersResponse list = WorkersToProto(std::move(views), "node-1");
  ASSERT_EQ(list.workers_size(), 1);
  const v1::ListWorkersResponse::Worker& worker = list.workers(0);
  EXPECT_EQ(worker.worker_id(), "worker-7");
  EXPECT_EQ(worker.worker_name(), "mailer");
  EXPECT_EQ(worker.node_id(), "node-1");
  ASSERT_EQ(worker.queues_size(), 1);
  EXPECT_EQ(worker.queues(0), "*");
  EXPECT_EQ(worker.names(0), "send");
  EXPECT_EQ(worker.concurrency(), 3u);
  ASSERT_EQ(worker.tasks_size(), 2);
  EXPECT_EQ(worker.tasks(0).task_id(), "mail/" + std::string(250, 'i'));
  EXPECT_EQ(list.omitted(), 0u);
}

TEST(WorkerProtoTest, ManyAreListedWithoutTheirTasksAndWhatDoesNotFitIsCounted) {
  std::vector<WorkerView> views;
  for (int i = 0; i < 100; ++i) views.push_back(Busy(i, 100));
  const v1::ListWorkersResponse busy = WorkersToProto(std::move(views), "node-1");
  EXPECT_EQ(busy.workers_size(), 100);
  EXPECT_EQ(busy.omitted(), 0u);
  EXPECT_EQ(busy.workers(0).tasks_size(), 100);
  EXPECT_EQ(busy.workers(99).tasks_size(), 0);
  EXPECT_LT(busy.ByteSizeLong(), kMessage);

  v1::ListWorkersResponse merged;
  merged.set_omitted(5);
  for (int i = 0; i < 20'000; ++i) merged.add_workers()->set_worker_name(std::string(256, 'w'));
  FitIntoMessage(&merged);
  EXPECT_LT(merged.ByteSizeLong(), kMessage);
  EXPECT_EQ(merged.workers_size() + static_cast<int>(merged.omitted()), 20'005);
  EXPECT_GT(merged.workers_size(), 15'000);
}

}  // namespace
}  // namespace actioncluster
