"""JAX's side of the workloads in crates/jaxnet-examples/src/workloads."""

import jax
import jax.numpy as jnp

from protocol import serve


glorot = jax.nn.initializers.glorot_normal()


def dense_params(key, *sizes):
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        {"kernel": glorot(key, (n, m)), "bias": jnp.zeros(m)}
        for key, n, m in zip(keys, sizes[:-1], sizes[1:])
    ]


def dense(params, x):
    """Layers with relu in between."""
    for i, layer in enumerate(params):
        x = x @ layer["kernel"] + layer["bias"]
        if i + 1 < len(params):
            x = jax.nn.relu(x)
    return x


def cross_entropy(logits, labels):
    log_probs = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_probs, labels[:, None], axis=-1).mean()


def momentum(rate):
    def init(params):
        return params, jax.tree.map(jnp.zeros_like, params)

    def update(state, grads):
        params, velocity = state
        velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, grads)
        return jax.tree.map(lambda p, v: p - rate * v, params, velocity), velocity

    return init, update


def adam(rate):
    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return params, zeros, zeros, jnp.zeros((), jnp.int32)

    def update(state, grads):
        params, m, v, step = state
        step = step + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        first, second = 1 - 0.9**step, 1 - 0.999**step
        params = jax.tree.map(
            lambda p, m, v: p - rate * (m / first) / (jnp.sqrt(v / second) + 1e-8), params, m, v
        )
        return params, m, v, step

    return init, update


def training(loss, optimizer, params, *batch):
    """One step: gradient and update in one compiled function, the state donated."""
    init, update = optimizer

    @jax.jit(donate_argnums=0)
    def advance(state, *batch):
        value, grads = jax.value_and_grad(loss)(state[0], *batch)
        return update(state, grads), value

    # A state of its own: what is donated must not be there twice.
    state = jax.tree.map(lambda x: x.copy(), init(params))

    def step():
        nonlocal state
        state, value = advance(state, *batch)
        jax.block_until_ready((state, value))

    return step


def mlp():
    init, images, labels = jax.random.split(jax.random.key(0), 3)
    return training(
        lambda params, x, y: cross_entropy(dense(params, x), y),
        momentum(0.01),
        dense_params(init, 784, 1024, 1024, 10),
        jax.random.uniform(images, (128, 784)),
        jax.random.randint(labels, (128,), 0, 10),
    )


def vae():
    a, b, c, d, images, noise = jax.random.split(jax.random.key(0), 6)
    params = {
        "trunk": dense_params(a, 784, 512, 512),
        "mean": dense_params(b, 512, 10),
        "variance": dense_params(c, 512, 10),
        "decoder": dense_params(d, 10, 512, 512, 784),
    }
    images = jax.random.bernoulli(images, 0.3, (32, 784))

    def loss(params, images, noise, step):
        hidden = jax.nn.relu(dense(params["trunk"], images.astype(jnp.float32)))
        mean = dense(params["mean"], hidden)
        variance = jax.nn.softplus(dense(params["variance"], hidden))
        key = jax.random.fold_in(noise, step)
        latent = mean + jnp.sqrt(variance) * jax.random.normal(key, mean.shape)
        logits = dense(params["decoder"], latent)
        reconstruction = jax.nn.softplus(jnp.where(images, -1.0, 1.0) * logits).sum()
        divergence = -0.5 * (1 + jnp.log(variance) - mean**2 - variance).sum()
        return (reconstruction + divergence) / len(images)

    init, update = momentum(1e-3)

    @jax.jit(donate_argnums=0)
    def advance(state, images, noise):
        state, step = state
        value, grads = jax.value_and_grad(loss)(state[0], images, noise, step)
        return (update(state, grads), step + 1), value

    state = (jax.tree.map(lambda x: x.copy(), init(params)), jnp.zeros((), jnp.int32))

    def step():
        nonlocal state
        state, value = advance(state, images, noise)
        jax.block_until_ready((state, value))

    return step


def convnet():
    a, b, c, images, labels = jax.random.split(jax.random.key(0), 5)
    params = {
        "conv": [
            {"kernel": glorot(a, (3, 3, 1, 32)), "bias": jnp.zeros(32)},
            {"kernel": glorot(b, (3, 3, 32, 64)), "bias": jnp.zeros(64)},
        ],
        "dense": dense_params(c, 12 * 12 * 64, 128, 10),
    }

    def loss(params, x, y):
        for layer in params["conv"]:
            x = jax.lax.conv_general_dilated(
                x, layer["kernel"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = jax.nn.relu(x + layer["bias"])
        x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        return cross_entropy(dense(params["dense"], x.reshape(len(x), -1)), y)

    return training(
        loss,
        adam(1e-3),
        params,
        jax.random.uniform(images, (128, 28, 28, 1)),
        jax.random.randint(labels, (128,), 0, 10),
    )


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


WORKLOADS = [mlp, vae, convnet, elementwise, dispatch_eager]
serve(jax.__version__, {workload.__name__: workload for workload in WORKLOADS})
