// asynq: `asynq REDIS_SOCKET SECONDS`. The client and the worker are in one process, as with bench_tasks.
package main

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

const warmUp = 500 * time.Millisecond

// When a task has come to the worker, and when that has ended: a handler does not hear of its own end being recorded.
type waiters struct {
	mutex   sync.Mutex
	last    int
	waiting map[string]chan struct{}
}

func (w *waiters) open() (string, chan struct{}) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.last++
	id := strconv.Itoa(w.last)
	done := make(chan struct{})
	w.waiting[id] = done
	return id, done
}

func (w *waiters) begun(_ context.Context, task *asynq.Task) error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	id := string(task.Payload())
	close(w.waiting[id])
	delete(w.waiting, id)
	return nil
}

func run(inFlight int, length time.Duration, operation func()) (perSecond float64, took []time.Duration) {
	var mutex sync.Mutex
	var group sync.WaitGroup
	begun := time.Now()
	for range inFlight {
		group.Add(1)
		go func() {
			defer group.Done()
			for time.Since(begun) < length {
				start := time.Now()
				operation()
				mutex.Lock()
				took = append(took, time.Since(start))
				mutex.Unlock()
			}
		}()
	}
	group.Wait()
	sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
	return float64(len(took)) / time.Since(begun).Seconds(), took
}

func main() {
	redis := asynq.RedisClientOpt{Network: "unix", Addr: os.Args[1]}
	seconds, err := strconv.ParseFloat(os.Args[2], 64)
	if err != nil {
		panic(err)
	}
	client := asynq.NewClient(redis)
	for _, concurrency := range []int{64, 256} {
		tasks := &waiters{waiting: map[string]chan struct{}{}}
		server := asynq.NewServer(redis, asynq.Config{Concurrency: concurrency, LogLevel: asynq.ErrorLevel})
		mux := asynq.NewServeMux()
		mux.HandleFunc("bench", tasks.begun)
		if err := server.Start(mux); err != nil {
			panic(err)
		}
		operation := func() {
			id, done := tasks.open()
			if _, err := client.Enqueue(asynq.NewTask("bench", []byte(id))); err != nil {
				panic(err)
			}
			<-done
		}
		for _, inFlight := range []int{1, 64} {
			run(inFlight, warmUp, operation)
			perSecond, took := run(inFlight, time.Duration(seconds*float64(time.Second)), operation)
			at := func(quantile float64) int64 { return took[int(float64(len(took)-1)*quantile)].Microseconds() }
			fmt.Printf("%d %.0f %d %d asynq: to start, worker of %d\n", inFlight, perSecond, at(0.5), at(0.99), concurrency)
		}
		server.Shutdown()
	}
}
