#ifndef ACTIONCLUSTER_CLIENT_OUTCOME_BOX_H_
#define ACTIONCLUSTER_CLIENT_OUTCOME_BOX_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>

#include "actioncluster/v1/tasks.pb.h"
#include "client/task_run.h"

namespace actioncluster::client {

// What is to be said of tasks in the next frames: as much in each as there is, and a node takes. Of a task's progress the last is kept; its outcome never comes
// before it, nor in the same frame, where their order would not be seen. It holds at most one of each for each task.
//
// Does no I/O. Not thread-safe.
class OutcomeBox {
 public:
  void Add(TaskOutcome outcome) { outcomes_.push_back(std::move(outcome)); }
  void Add(v1::WorkRequest::Progress progress);

  bool empty() const { return outcomes_.empty() && progress_.empty(); }
  // Moves what comes next into a frame.
  void Fill(v1::WorkRequest::Outcomes* frame);
  void Clear();

 private:
  using TaskKey = std::pair<std::string, int64_t>;  // Its id and token.

  std::deque<TaskOutcome> outcomes_;
  std::map<TaskKey, v1::WorkRequest::Progress> progress_;
  TaskKey last_;  // Whose progress went last: the next frame goes on behind it, so that none waits for ever.
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_OUTCOME_BOX_H_
