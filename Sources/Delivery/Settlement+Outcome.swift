import RelayCore

extension Settlement {
    /// The settlement for an attempt's outcome. `random`, at least 0 and less than 1, spreads retries over time.
    ///
    /// `mayGiveUp` is false for attempts while the lane is held and for some time afterwards. A message never fails
    /// because the lane was held.
    init(
        _ outcome: DeliveryOutcome, of delivery: ClaimedDelivery, schedule: RetrySchedule, mayGiveUp: Bool = true,
        startedAt: Timestamp, finishedAt: Timestamp, random: Double
    ) {
        self.init(delivery: delivery.id, result: .released, startedAt: startedAt, finishedAt: finishedAt)
        switch outcome {
        case .sent(let id, let note):
            result = .sent(sesMessageID: id)
            reason = note
        case .simulated(let id, let note, let told):
            result = .simulated(sesMessageID: id)
            reason = note
            events = told
        case .failed(let cause):
            result = .failed
            explain(cause)
        case .laneHeld(let cause, _): explain(cause)
        case .retry(let cause, let pace):
            explain(cause)
            lengthensPause = pace != .throttled
            let tries = RetrySchedule.Tries(before: delivery)
            let due = schedule.nextAttempt(
                after: tries, pace: pace, queuedSince: delivery.queuedSince, now: finishedAt, random: random
            )
            if let due {
                result = .retry(at: due)
            } else if mayGiveUp {
                result = .failed
                reason = "\(gaveUpReason) \(schedule.giveUpAfter.inWords): \(cause)"
            } else {
                result = .retry(
                    at: finishedAt + schedule.pause(after: tries, pace: pace, random: random))
            }
        }
    }

    /// The settlement of a delivery that was claimed but not tried.
    init(releasing delivery: ClaimedDelivery, at now: Timestamp) {
        self.init(delivery: delivery.id, result: .released, startedAt: now, finishedAt: now)
    }

    private mutating func explain(_ cause: DeliveryOutcome.Cause) {
        reason = cause.description
        mayHaveBeenTaken = cause.mayHaveBeenTaken
    }
}
