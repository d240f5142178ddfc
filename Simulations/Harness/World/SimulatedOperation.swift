/// What a client of a simulated peer has under way.
package struct SimulatedOperation: Sendable {
    private let task: SimulatedTask<Void>
    package let machine: SimulatedPeer
    private let life: Int

    /// Of `task`, which runs in the present life of `machine`.
    package init(_ task: SimulatedTask<Void>, on machine: SimulatedPeer) {
        self.task = task
        self.machine = machine
        life = machine.lives
    }

    /// Ended, or cut off by a crash.
    package var isOver: Bool { task.result != nil || !machine.isRunning || machine.lives != life }
}
