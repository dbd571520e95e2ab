import Delivery
import RelayCore
import Telemetry
import Webhooks

/// Counts and reports ended deliveries. The worker has logged them already.
struct DeliveryObserver: Sendable {
    let demo: Demo?
    let metrics: RelayMetrics?
    let webhooks: WebhookDispatcher

    var observe: @Sendable (DeliveryEvent) -> Void {
        let (demo, metrics, webhooks) = (demo, metrics, webhooks)
        return { event in
            metrics?.observe(event)
            // The events of these deliveries are stored by now.
            switch event {
            case .ended, .suppressed: webhooks.wake()
            default: break
            }
            guard let demo else { return }
            if case .suppressed(let delivery) = event { return demo.sent(delivery, "Suppressed") }
            guard case .ended(let delivery, let settlement) = event else { return }
            switch settlement.result {
            case .simulated: demo.sent(delivery, "Sent (simulated)")
            case .sent: demo.sent(delivery, "Sent")
            case .failed: demo.sent(delivery, "Failed (\(settlement.reason ?? "no reason known"))")
            case .retry, .released: break
            }
        }
    }
}
