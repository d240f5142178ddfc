package import CyxOverlay

/// Failure detection with and without what membership has beyond SWIM, over a grid of slow members.
package struct DetectionFigures {
    /// The failure detectors compared, plain SWIM first.
    package enum Detector: String, CaseIterable, Sendable {
        case plainSWIM = "plain SWIM"
        case lifeguard = "Lifeguard"
        case all = "as run"

        package var defences: MembershipDefences {
            switch self {
            case .plainSWIM: .plainSWIM
            case .lifeguard: .lifeguard
            case .all: .all
            }
        }
    }

    /// A part of the grid that Lifeguard's authors ran: members slow at once (of 128), milliseconds
    /// blocked, milliseconds between two blocks.
    package struct Grid: Sendable {
        package var slow = [4, 16, 32]
        package var blocked = [2048, 8192, 32_768]
        package var intervals = [64, 1024, 16_384]
        package init() {}
    }

    /// One cell of the grid for one detector, the sum over it being the caller's.
    package static func measure(
        _ defences: MembershipDefences, slow: Int, blocked: Int, interval: Int, peers: Int,
        block: DetectionExperiment.Block = .messages, seed: UInt64
    ) -> DetectionOutcome {
        // As many in a hundred as of the 128 that the grid is for.
        let share = max(slow > 0 ? 1 : 0, slow * peers / 128)
        var experiment = DetectionExperiment(
            slow: share, blocked: blocked, interval: interval, seed: seed)
        experiment.peers = peers
        experiment.block = block
        experiment.defences = defences
        var run = DetectionRun(experiment)
        return run.run()
    }
}
