import RelayCore

extension Admission {
    /// The part of a batch's emails that one message may use. The emails were taken from the rate for the whole batch
    /// at once. When a share is released, its part goes back to the rate, unless the message is in the queue.
    public struct RateShare: Sendable {
        let reservation: KeyRates.Reservation
    }

    /// The state of a key's rate at one moment.
    public struct RateStanding: Hashable, Sendable {
        /// The key's limits.
        public var limits: SendingLimits
        /// The number of emails that the key may send at once. It is negative while the key is in debt.
        public var available: Double

        init(limits: SendingLimits, available: Double) {
            self.limits = limits
            self.available = available
        }

        /// The seconds until one more email is allowed, or 0 when one is allowed now.
        public var secondsUntilNext: Double { max(0, 1 - available) / limits.perSecond }

        /// The seconds until the key's whole burst is available again.
        public var secondsUntilFull: Double { max(0, limits.capacity - available) / limits.perSecond }
    }
}
