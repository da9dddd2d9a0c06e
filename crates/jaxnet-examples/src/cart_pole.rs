//! A pole on a cart, as a function of tensors.

use jaxnet_tensor::{Key, Tensor, Tree};

/// The longest attempt, as in Gym's `CartPole-v1`.
pub const LIMIT: usize = 500;

const GRAVITY: f64 = 9.8;
const CART_MASS: f64 = 1.0;
const POLE_MASS: f64 = 0.1;
const TOTAL_MASS: f64 = CART_MASS + POLE_MASS;
/// Half the pole's length.
const LENGTH: f64 = 0.5;
const FORCE: f64 = 10.0;
/// Seconds between two states.
const TIME_STEP: f64 = 0.02;
/// Where the cart leaves the track.
const FARTHEST: f64 = 2.4;
/// Where the pole has fallen: 12 degrees.
const STEEPEST: f64 = 12.0 * std::f64::consts::PI / 180.0;

/// A cart on a track with a pole that stands on it, to be pushed left or right so that it goes on standing.
///
/// The dynamics are those of Gym's `CartPole-v1` (`gymnasium/envs/classic_control/cartpole.py`), after Barto,
/// Sutton and Anderson, "Neuronlike adaptive elements that can solve difficult learning control problems" (1983).
/// Each step while the pole stands is worth 1. A state is a tree of scalars; map a function of it by `vmap`.
///
/// # Examples
///
/// ```
/// use jaxnet_examples::cart_pole::CartPole;
/// use jaxnet_tensor::{Key, Tensor};
///
/// let mut cart = CartPole::new(Key::new(0));
/// let mut steps = 0;
/// while cart.stands().item::<bool>() {
///     cart = cart.step(&Tensor::from(1)); // always to the right
///     steps += 1;
/// }
/// assert!((5..15).contains(&steps));
/// ```
#[derive(Clone, Debug, Tree)]
pub struct CartPole {
    /// The cart's position and velocity, the pole's angle from upright and its velocity: f32, of shape (4).
    state: Tensor,
    stands: Tensor,
}

impl CartPole {
    /// The start of an attempt: all four numbers between -0.05 and 0.05.
    pub fn new(key: Key) -> CartPole {
        let state = key.uniform([4]) * 0.1 - 0.05;
        CartPole { stands: state.i(0).lt(f64::INFINITY), state }
    }

    /// A pole in a state, which stands.
    pub fn from_state(state: Tensor) -> CartPole {
        CartPole { stands: state.i(0).lt(f64::INFINITY), state }
    }

    /// Position, velocity, angle and angular velocity: f32, of shape (4).
    pub fn observation(&self) -> Tensor {
        self.state.clone()
    }

    /// Whether the attempt goes on: the pole has never fallen, nor the cart left the track.
    pub fn stands(&self) -> Tensor {
        self.stands.clone()
    }

    /// The state after a push to the left (0) or to the right (1). After the end of an attempt nothing moves.
    #[must_use]
    pub fn step(&self, action: &Tensor) -> CartPole {
        let [x, velocity, angle, angular] = [0, 1, 2, 3].map(|i| self.state.i(i));
        let force = action.eq(1).select(FORCE, -FORCE);
        let (sin, cos) = (angle.sin(), angle.cos());
        let push = (force + POLE_MASS * LENGTH * angular.square() * &sin) / TOTAL_MASS;
        let angular_acceleration =
            (GRAVITY * sin - &cos * &push) / (LENGTH * (4.0 / 3.0 - POLE_MASS * cos.square() / TOTAL_MASS));
        let acceleration = push - POLE_MASS * LENGTH * &angular_acceleration * cos / TOTAL_MASS;
        // Positions move by the velocities before, as in Gym.
        let next = Tensor::stack(
            &[
                x + TIME_STEP * &velocity,
                velocity + TIME_STEP * acceleration,
                angle + TIME_STEP * &angular,
                angular + TIME_STEP * angular_acceleration,
            ],
            0,
        );
        let inside = next.i(0).abs().le(FARTHEST) & next.i(2).abs().le(STEEPEST);
        CartPole { state: self.stands.select(&next, &self.state), stands: &self.stands & inside }
    }
}

#[cfg(test)]
mod tests {
    use jaxnet_tensor::tensor;

    use super::*;

    #[test]
    fn moves_as_gym_does() {
        // By hand from the published equations, in double precision.
        let state = [0.1_f64, -0.2, 0.05, 0.3];
        let reference = |[x, v, a, w]: [f64; 4], force: f64| {
            let push = (force + 0.05 * w * w * a.sin()) / 1.1;
            let angular = (9.8 * a.sin() - a.cos() * push) / (0.5 * (4.0 / 3.0 - 0.1 * a.cos().powi(2) / 1.1));
            let linear = push - 0.05 * angular * a.cos() / 1.1;
            [x + 0.02 * v, v + 0.02 * linear, a + 0.02 * w, w + 0.02 * angular]
        };
        for (action, force) in [(0, -10.0), (1, 10.0)] {
            let (mut cart, mut expected) = (CartPole::from_state(tensor![0.1, -0.2, 0.05, 0.3]), state);
            for _ in 0..5 {
                cart = cart.step(&Tensor::from(action));
                expected = reference(expected, force);
                for (found, expected) in cart.observation().to_vec::<f32>().iter().zip(expected) {
                    assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} is not {expected}");
                }
            }
        }
    }

    #[test]
    fn an_attempt_ends_once() {
        let fallen = CartPole::from_state(tensor![0.0, 0.0, 0.2094, 1.0]).step(&Tensor::from(0));
        assert!(!fallen.stands().item::<bool>());
        let later = fallen.step(&Tensor::from(1));
        assert!(!later.stands().item::<bool>());
        assert_eq!(later.observation().to_vec::<f32>(), fallen.observation().to_vec::<f32>());
        let off = CartPole::from_state(tensor![-2.39, -2.0, 0.0, 0.0]).step(&Tensor::from(0));
        assert!(!off.stands().item::<bool>());
        assert!(CartPole::from_state(tensor![2.3, 0.5, 0.2, 0.0]).step(&Tensor::from(1)).stands().item::<bool>());
    }
}
