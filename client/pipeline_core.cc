#include "client/pipeline_core.h"

#include <utility>

namespace actioncluster::client {

bool PipelineCore::Add(Call& call) {
  if (retired_ || waiting_.size() + sent_.size() >= limits_.calls ||
      (!waiting_.empty() && waiting_bytes_ + call.bytes > limits_.waiting_bytes)) {
    return false;
  }
  call.id = ++last_id_;
  call.operation.set_op_id(call.id);
  waiting_.emplace_hint(waiting_.end(), call.id, &call);
  waiting_bytes_ += call.bytes;
  return true;
}

bool PipelineCore::Fill(v1::PipelineRequest* frame) {
  for (size_t bytes = 0, count = 0;
       !waiting_.empty() && count < limits_.frame_operations && bytes <= limits_.frame_bytes; ++count) {
    const auto first = waiting_.begin();
    Call& call = *first->second;
    waiting_.erase(first);
    waiting_bytes_ -= call.bytes;
    bytes += call.bytes;
    call.results_before = results_;
    *frame->add_operations() = std::move(call.operation);
    sent_.emplace(call.id, &call);
  }
  return frame->operations_size() > 0;
}

std::vector<PipelineCore::Call*> PipelineCore::Accept(v1::PipelineResponse* frame) {
  std::vector<Call*> answered;
  answered.reserve(static_cast<size_t>(frame->results_size()));
  for (v1::PipelineResponse::Result& result : *frame->mutable_results()) {
    ++results_;
    const auto found = sent_.find(result.op_id());
    if (found == sent_.end()) continue;
    Call* const call = found->second;
    sent_.erase(found);
    call->outcome = {.kind = PipelineOutcome::Kind::kAnswered, .result = std::move(result)};
    answered.push_back(call);
  }
  return answered;
}

bool PipelineCore::Drop(const Call& call) {
  if (waiting_.erase(call.id) > 0) {
    waiting_bytes_ -= call.bytes;
    return true;
  }
  if (sent_.erase(call.id) == 0) return false;
  if (call.results_before == results_) silent_ = true;
  return true;
}

std::vector<PipelineCore::Call*> PipelineCore::Retire() {
  retired_ = true;
  std::vector<Call*> unsent;
  unsent.reserve(waiting_.size());
  for (const auto& [id, call] : waiting_) unsent.push_back(call);
  waiting_.clear();
  waiting_bytes_ = 0;
  return unsent;
}

std::vector<PipelineCore::Call*> PipelineCore::End(const absl::Status& why) {
  std::vector<Call*> all = Retire();
  all.reserve(all.size() + sent_.size());
  for (const auto& [id, call] : sent_) {
    // Who does not know the rpc has done nothing.
    if (why.code() != absl::StatusCode::kUnimplemented) {
      call->outcome = {.kind = PipelineOutcome::Kind::kLost, .why = why};
    }
    all.push_back(call);
  }
  sent_.clear();
  return all;
}

}  // namespace actioncluster::client
