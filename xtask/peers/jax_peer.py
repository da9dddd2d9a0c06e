"""JAX's side of the workloads in crates/jaxnet-examples/src/workloads."""

import jax
import jax.numpy as jnp

from protocol import serve


def mlp():
    sizes = [784, 1024, 1024, 10]
    keys = jax.random.split(jax.random.key(0), 5)
    glorot = jax.nn.initializers.glorot_normal()
    params = [
        {"kernel": glorot(key, (n, m)), "bias": jnp.zeros(m)}
        for key, n, m in zip(keys, sizes[:-1], sizes[1:])
    ]
    velocity = jax.tree.map(jnp.zeros_like, params)
    images = jax.random.uniform(keys[3], (128, 784))
    labels = jax.random.randint(keys[4], (128,), 0, 10)

    def loss(params, images, labels):
        x = images
        for i, layer in enumerate(params):
            x = x @ layer["kernel"] + layer["bias"]
            if i + 1 < len(params):
                x = jax.nn.relu(x)
        log_probs = jax.nn.log_softmax(x)
        return -jnp.take_along_axis(log_probs, labels[:, None], axis=-1).mean()

    @jax.jit(donate_argnums=0)
    def update(state, images, labels):
        params, velocity = state
        value, grads = jax.value_and_grad(loss)(params, images, labels)
        velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, grads)
        params = jax.tree.map(lambda p, v: p - 0.01 * v, params, velocity)
        return (params, velocity), value

    state = (params, velocity)

    def step():
        nonlocal state
        state, value = update(state, images, labels)
        jax.block_until_ready((state, value))

    return step


def elementwise():
    x = jax.random.uniform(jax.random.key(0), (10_000_000,))
    chain = jax.jit(lambda x: jnp.sin(x) * jnp.exp(-x) + x * x - 0.5)
    return lambda: chain(x).block_until_ready()


def dispatch_eager():
    x = jnp.array([1.0, 2.0, 3.0, 4.0])

    def step():
        for _ in range(1000):
            y = x + 1.0
        y.block_until_ready()

    return step


serve(jax.__version__, {"mlp": mlp, "elementwise": elementwise, "dispatch_eager": dispatch_eager})
