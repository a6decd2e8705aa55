#ifndef ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_CACHE_H_
#define ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_CACHE_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actioncluster/client.h"
#include "actioncluster/v1/cache.pb.h"

namespace actioncluster::client {

// CacheService as plain functions, on the channel of a client: see there for token, deadline, errors and threads; and cache.proto for the fields and errors.
//
// Deadlines: ClientOptions::timeout, and what the request itself may wait (`wait_for`, `wait_for_lock`) on top of it.
//
// Retries: what may be repeated whatever it says (Load, LoadMany, Lock, CheckLock, ListLength, Size; ListKeys, ListLocks and Dump until their first answer) waits for a
// connection (those without a deadline: for ClientOptions::timeout), and is tried up to 5 times on UNAVAILABLE and CANCELLED, 50 ms to 1 s apart; so is, without waiting for a connection, what has a `request_id`. All else
// is repeated only if no node has begun it.
//
// Calls that meet go together: a call that costs Redis a microsecond or two costs gRPC a hundred. So while a call of this client is under way, others share a stream (Pipeline), whose frames
// take what has come while the one before was written. It is used for all calls for one key that do not wait, of up to 64 KiB; a call alone goes by itself, at once. That changes nothing
// in what they mean: each has its own deadline and error, and a thread's calls take effect in its order. If the stream is lost, calls that are repeated are; of others
// nobody knows whether they were done: UNAVAILABLE. Past 8,192 calls or 8 MiB that wait, the rest go by themselves. ClientOptions::coalesce = false: all do.
//
// As cheap as a reference, which it is: the client outlives it.
class Cache {
 public:
  explicit Cache(Client& client) : client_(client) {}

  // Values.
  absl::StatusOr<v1::SaveResponse> Save(const v1::SaveRequest& request);
  absl::StatusOr<v1::LoadResponse> Load(const v1::LoadRequest& request);
  absl::StatusOr<v1::DestroyResponse> Destroy(const v1::DestroyRequest& request);
  absl::StatusOr<v1::CompareAndSaveResponse> CompareAndSave(const v1::CompareAndSaveRequest& request);
  absl::StatusOr<v1::IncrementResponse> Increment(const v1::IncrementRequest& request);
  absl::StatusOr<v1::SaveManyResponse> SaveMany(const v1::SaveManyRequest& request);
  absl::StatusOr<v1::LoadManyResponse> LoadMany(const v1::LoadManyRequest& request);
  absl::StatusOr<v1::DestroyManyResponse> DestroyMany(const v1::DestroyManyRequest& request);

  // Locks.
  absl::StatusOr<v1::LockResponse> Lock(const v1::LockRequest& request);
  absl::StatusOr<v1::UnlockResponse> Unlock(const v1::UnlockRequest& request);
  absl::StatusOr<v1::CheckLockResponse> CheckLock(const v1::CheckLockRequest& request);

  // Lists.
  absl::StatusOr<v1::PushResponse> Push(const v1::PushRequest& request);
  absl::StatusOr<v1::PopResponse> Pop(const v1::PopRequest& request);
  absl::StatusOr<v1::ListLengthResponse> ListLength(const v1::ListLengthRequest& request);

  // All keys. DEADLINE_EXCEEDED: not within `limit`; it takes longer the more there are.
  absl::StatusOr<v1::SizeResponse> Size(const v1::SizeRequest& request, absl::Duration limit);
  // As Size. What was removed until then is gone.
  absl::StatusOr<v1::ClearResponse> Clear(const v1::ClearRequest& request, absl::Duration limit);
  // In this call, on this thread: each until the last (OK), the function returns false (OK), or the stream ends (why). Without a deadline.
  absl::Status ListKeys(const v1::ListKeysRequest& request, absl::FunctionRef<bool(const std::string& key)> on_key);
  absl::Status ListLocks(const v1::ListLocksRequest& request,
                         absl::FunctionRef<bool(const v1::ListLocksResponse&)> on_lock);
  // So too. DATA_LOSS: it is not all that there was.
  absl::Status Dump(const v1::DumpRequest& request, absl::FunctionRef<bool(const v1::DumpEntry&)> on_entry);
  // `next`, in this call, on this thread, sets one entry after another; false: there are no more; an error: nothing is to be written, and it is returned. Without a deadline.
  absl::StatusOr<v1::RestoreResponse> Restore(const v1::RestoreRequest::Begin& begin,
                                              absl::FunctionRef<absl::StatusOr<bool>(v1::DumpEntry*)> next);

 private:
  // Of what has no deadline: waits for a connection, as long as any call may take.
  void AwaitConnection() { client_.AwaitConnection(client_.options().timeout); }

  template <class Request, class Response>
  struct Way;
  template <class Request, class Response>
  absl::StatusOr<Response> Share(const Request& request, const Way<Request, Response>& way);

  Client& client_;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_CACHE_H_
